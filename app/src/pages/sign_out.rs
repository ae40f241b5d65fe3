//! Signing out at the wish of a client, at `/oidc/logout`.

use leptos::prelude::*;

use crate::context::{self, LogoutAsked, LogoutView, SignedIn};
use crate::parts::form_banner;
use crate::shell::alone;
use crate::words::{t, tv};

pub fn page() -> AnyView {
    let form = context::form();
    if let Ok(status) = axum::http::StatusCode::from_u16(form.status)
        && form.status != 0
    {
        context::set_status(status);
    }
    let viewer = use_context::<SignedIn>().and_then(|signed_in| signed_in.0);
    let asked = use_context::<LogoutAsked>().map(|LogoutAsked(asked)| asked);
    let (title, body) = match asked {
        Some(asked) if viewer.is_some() => (t("logout-title"), question(&asked)),
        _ if form.errors.is_empty() => (t("logout-done-title"), done()),
        _ => (t("logout-refused-title"), refused(&form)),
    };
    alone(title, false, viewer.as_ref(), body, None)
}

fn question(asked: &LogoutView) -> AnyView {
    let lede = match &asked.client_name {
        Some(client) => tv("logout-lede", &[("client", client)]),
        None => t("logout-lede-nobody"),
    };
    let hidden = asked
        .params
        .iter()
        .map(|(name, value)| {
            view! { <input type="hidden" name=name.clone() value=value.clone() /> }
        })
        .collect_view();
    view! {
        <form class="sheet" method="post" action="/oidc/logout/decision">
            <div>
                <h1>{t("logout-title")}</h1>
                <p class="lede">{lede}</p>
            </div>
            {hidden}
            <div class="deciders">
                <div class="two">
                    <a class="button large" href="/">
                        {t("cancel")}
                    </a>
                    <button class="button primary large" type="submit">
                        {t("logout-go")}
                    </button>
                </div>
            </div>
        </form>
    }
    .into_any()
}

fn done() -> AnyView {
    view! {
        <div class="sheet">
            <div>
                <h1>{t("logout-done-title")}</h1>
                <p class="lede">{t("logout-done-text")}</p>
            </div>
            <p>
                <a class="button" href="/sign-in">
                    {t("logout-again")}
                </a>
            </p>
        </div>
    }
    .into_any()
}

fn refused(form: &context::FormState) -> AnyView {
    view! {
        <div class="sheet">
            <div>
                <h1>{t("logout-refused-title")}</h1>
                {form_banner(form)}
                <p class="lede">{t("logout-refused-text")}</p>
            </div>
            <p>
                <a class="button" href="/">
                    {t("logout-stay")}
                </a>
            </p>
        </div>
    }
    .into_any()
}
