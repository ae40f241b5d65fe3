//! Sign-in.

use leptos::prelude::*;

use super::devices::script;
use super::problem::encode;
use crate::context;
use crate::parts::{Field, form_banner, text_field};
use crate::shell::alone;
use crate::words::{t, tv};

/// `/sign-in?return_to=`. The server decides whether `return_to` is a local path.
pub fn page() -> AnyView {
    let mut form = context::form();
    let query = context::query();
    if let Some(sentence) = query.get("problem").and_then(|word| problem(word))
        && form.errors.is_empty()
    {
        form.errors.push((String::new(), sentence));
    }
    if let Ok(status) = axum::http::StatusCode::from_u16(form.status)
        && form.status != 0
    {
        context::set_status(status);
    }
    context::set_header(axum::http::header::CACHE_CONTROL, "no-store");
    let return_to = form
        .values
        .get("return_to")
        .or_else(|| query.get("return_to"))
        .cloned()
        .unwrap_or_default();
    if let Some(email) = query.get("email")
        && email.len() <= 254
    {
        form.values
            .entry("email".to_owned())
            .or_insert(email.clone());
    }
    let others = others(&return_to);
    let with_passkey = with_passkey(&return_to);
    let body = view! {
        <div class="sheet">
            <form class="form" method="post" action="/sign-in">
                <h1>{t("sign-in-title")}</h1>
                <p class="lede">{t("sign-in-lede")}</p>
                {form_banner(&form)}
                <input type="hidden" name="return_to" value=return_to />
                {text_field(
                    &form,
                    Field {
                        name: "email",
                        label: "field-email",
                        kind: "email",
                        autocomplete: "username",
                        required: true,
                        ..Field::default()
                    },
                )}
                {text_field(
                    &form,
                    Field {
                        name: "password",
                        label: "field-password",
                        kind: "password",
                        autocomplete: "current-password",
                        required: true,
                        ..Field::default()
                    },
                )}
                <button class="button primary large wide" type="submit">
                    {t("sign-in-button")}
                </button>
            </form>
            {with_passkey}
            {others}
        </div>
    }
    .into_any();
    alone(
        t("sign-in-title"),
        true,
        None,
        body,
        Some(t("sign-in-foot")),
    )
}

/// Sign-in with a device that was set up. Shown by its script alone, where the
/// browser has passkeys.
fn with_passkey(return_to: &str) -> AnyView {
    view! {
        <form
            class="others"
            method="post"
            action="/sign-in/passkey"
            data-passkey="sign-in"
            hidden
        >
            <input type="hidden" name="return_to" value=return_to.to_owned() />
            <input type="hidden" name="passkey" />
            <p class="field-error" role="alert" data-says hidden></p>
            <button class="button large wide" type="submit" data-wakes>
                {t("sign-in-passkey")}
            </button>
            {script()}
        </form>
    }
    .into_any()
}

/// What came of a sign-in through another provider.
fn problem(word: &str) -> Option<String> {
    Some(match word {
        "nobody" => t("sign-in-problem-nobody"),
        "locked" => t("sign-in-problem-locked"),
        "unknown" => t("sign-in-problem-unknown"),
        "failed" => t("sign-in-problem-failed"),
        _ => return None,
    })
}

/// Other providers to sign in with, if the deployment names any.
fn others(return_to: &str) -> Option<AnyView> {
    let engine = use_context::<domain::Engine>()?;
    let all = &engine.settings.sign_in;
    if all.is_empty() {
        return None;
    }
    let links = all
        .iter()
        .map(|upstream| {
            let to = format!(
                "/sign-in/with/{}?return_to={}",
                upstream.id,
                encode(return_to)
            );
            // A page of another origin: no routing in the browser.
            view! {
                <a class="button large wide" rel="external" href=to>
                    {tv("sign-in-with", &[("provider", &upstream.name)])}
                </a>
            }
        })
        .collect_view();
    Some(view! { <div class="others">{links}</div> }.into_any())
}
