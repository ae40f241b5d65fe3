//! Sign-in.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::context;
use crate::parts::{Field, form_banner, text_field};
use crate::shell::alone;
use crate::words::t;

/// `/sign-in?return_to=`. The server decides whether `return_to` is a local path.
pub fn page() -> AnyView {
    let form = context::form();
    if let Ok(status) = axum::http::StatusCode::from_u16(form.status)
        && form.status != 0
    {
        context::set_status(status);
    }
    context::set_header(axum::http::header::CACHE_CONTROL, "no-store");
    let return_to = form
        .values
        .get("return_to")
        .cloned()
        .or_else(|| use_query_map().get_untracked().get("return_to"))
        .unwrap_or_default();
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
