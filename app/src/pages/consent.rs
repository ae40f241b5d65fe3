//! Consent at `/authorize`: what a client asks for, and with which accounts.

use axum::http::{StatusCode, header};
use leptos::prelude::*;

use super::{Asked, asked};
use crate::api::Tone;
use crate::context::{self, ConsentAccount, ConsentAsked, ConsentView, SignedIn};
use crate::parts::{Icon, banner, form_banner, icon, mark, wordmark};
use crate::shell::alone;
use crate::words::{known, t, tv};

pub fn page() -> AnyView {
    let Some(ConsentAsked(consent)) = use_context::<ConsentAsked>() else {
        return refused();
    };
    asked(|asked| async move { Ok(draw(&asked, &consent)) })
}

fn draw(asked: &Asked, consent: &ConsentView) -> AnyView {
    let title = tv("consent-title", &[("client", &consent.client_name)]);
    let body = view! {
        <form class="sheet" method="post" action="/authorize/decision">
            <div>
                <div class="pair">
                    {mark("client", "large")} <span class="dots" aria-hidden="true"></span>
                    <span class="mark large agent" aria-hidden="true">
                        <span class="only-mark">{wordmark()}</span>
                    </span>
                </div>
                <h1>{title.clone()}</h1>
                <p class="lede">{who(consent)}</p>
                {form_banner(&asked.form)}
            </div>
            {scopes(&consent.scopes)}
            {audiences(&consent.audiences)}
            {accounts(&consent.accounts)}
            {consent
                .params
                .iter()
                .map(|(name, value)| {
                    view! { <input type="hidden" name=name.clone() value=value.clone() /> }
                })
                .collect_view()}
            <div class="deciders">
                <div class="two">
                    <button class="button large" type="submit" name="decision" value="deny">
                        {t("consent-deny")}
                    </button>
                    <button class="button primary large" type="submit" name="decision" value="allow">
                        {t("consent-allow")}
                    </button>
                </div>
                <p class="field-hint">
                    {tv("consent-returns", &[("host", &consent.returns_to)])}
                </p>
            </div>
        </form>
    }
    .into_any();
    alone(
        title,
        false,
        Some(&asked.seen.viewer),
        body,
        Some(t("consent-foot")),
    )
}

fn who(consent: &ConsentView) -> AnyView {
    let words = if consent.verified {
        t("consent-verified")
    } else {
        t("consent-unverified")
    };
    view! { {words} " · " <code>{consent.client_id.clone()}</code> }.into_any()
}

/// What a client will be able to do.
pub(super) fn scopes(scopes: &[String]) -> Option<AnyView> {
    if scopes.is_empty() {
        return None;
    }
    let rows = scopes
        .iter()
        .map(|scope| view! { <li>{icon(Icon::Tick)} <span>{sentence(scope)}</span></li> })
        .collect_view();
    Some(
        view! {
            <div>
                <h2>{t("consent-scopes")}</h2>
                <ul class="ticks">{rows}</ul>
            </div>
        }
        .into_any(),
    )
}

/// Where else a client's tokens are good.
pub(super) fn audiences(audiences: &[String]) -> Option<AnyView> {
    if audiences.is_empty() {
        return None;
    }
    let rows = audiences
        .iter()
        .map(|audience| view! { <li>{icon(Icon::Tick)} <code>{audience.clone()}</code></li> })
        .collect_view();
    Some(
        view! {
            <div>
                <h2>{t("consent-audiences")}</h2>
                <ul class="ticks">{rows}</ul>
            </div>
        }
        .into_any(),
    )
}

/// What a scope of ours allows; any other shows itself.
pub(super) fn sentence(scope: &str) -> String {
    let key = format!("allow-{}", scope.replace([':', '_'], "-"));
    known(&key, &[]).unwrap_or_else(|| tv("scope-unknown", &[("scope", scope)]))
}

fn accounts(accounts: &[ConsentAccount]) -> Option<AnyView> {
    if accounts.is_empty() {
        return None;
    }
    let boxes = accounts
        .iter()
        .map(|account| {
            let release = account.mode == "release";
            view! {
                <label class="check">
                    <input
                        type="checkbox"
                        name="account"
                        value=account.id.clone()
                        checked=account.checked
                    />
                    {mark(&account.provider, "small")}
                    <span>
                        {account.label.clone()}
                        <small>{if release { t("consent-release") } else { t("consent-call") }}</small>
                    </span>
                </label>
            }
        })
        .collect_view();
    Some(
        view! {
            <fieldset>
                <legend class="field-name">{t("consent-accounts")}</legend>
                {boxes}
            </fieldset>
        }
        .into_any(),
    )
}

/// A request that cannot be honoured and must not be sent back: the server's
/// sentence, and nothing that leads out. Nobody has to sign in to read it.
fn refused() -> AnyView {
    let form = context::form();
    let status = StatusCode::from_u16(form.status).unwrap_or(StatusCode::BAD_REQUEST);
    let status = if form.status == 0 {
        StatusCode::BAD_REQUEST
    } else {
        status
    };
    context::set_status(status);
    context::set_header(header::CACHE_CONTROL, "no-store");
    let words = form.error("").unwrap_or_else(|| t("consent-refused-text"));
    let viewer = use_context::<SignedIn>().and_then(|SignedIn(viewer)| viewer);
    let back = viewer.is_some().then(|| {
        view! {
            <a class="button" href="/">
                {t("back-to-overview")}
            </a>
        }
    });
    let trace = context::trace();
    let body = view! {
        <div class="lost">
            <h1>{t("consent-refused-title")}</h1>
            {banner(Tone::Bad, words, None, None)}
            <p class="muted">{t("consent-refused-hint")}</p>
            {(!trace.is_empty())
                .then(|| {
                    view! {
                        <p class="subtle">
                            {t("broken-trace")} " " <code>{trace}</code>
                        </p>
                    }
                })}
            {back}
        </div>
    }
    .into_any();
    alone(
        t("consent-refused-title"),
        false,
        viewer.as_ref(),
        body,
        None,
    )
}
