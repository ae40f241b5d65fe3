//! Pages for what cannot be shown.

use axum::http::{StatusCode, header};
use leptos::prelude::*;

use crate::api::Problem;
use crate::context;
use crate::shell::alone;
use crate::words::t;

/// No route leads here.
pub fn not_found() -> AnyView {
    page(Problem::NotFound)
}

/// The page for a problem, with its status. Somebody who is not signed in is
/// sent to sign in and comes back afterwards.
pub fn page(problem: Problem) -> AnyView {
    let (status, number, title, text) = match problem {
        Problem::SignedOut => return sign_in(),
        Problem::AdminsOnly => (
            StatusCode::FORBIDDEN,
            "403",
            t("admins-only-title"),
            t("admins-only-text"),
        ),
        Problem::NotFound => (
            StatusCode::NOT_FOUND,
            "404",
            t("not-found-title"),
            t("not-found-text"),
        ),
        Problem::Broken(cause) => {
            tracing::error!(%cause, trace = context::trace(), "a page failed");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "500",
                t("broken-title"),
                t("broken-text"),
            )
        }
    };
    context::set_status(status);
    let broken = status == StatusCode::INTERNAL_SERVER_ERROR;
    let trace = context::trace();
    let again = broken.then(|| {
        view! { <a class="button" href="">{t("broken-retry")}</a> }
    });
    let body = view! {
        <div class="lost">
            <p class="number">{number}</p>
            <h1>{title.clone()}</h1>
            <p class="muted">{text}</p>
            {(broken && !trace.is_empty())
                .then(|| {
                    view! {
                        <p class="subtle">
                            {t("broken-trace")} " " <code>{trace.clone()}</code>
                        </p>
                    }
                })}
            <p class="actions">
                {again} <a class="button primary" href="/">{t("back-to-overview")}</a>
            </p>
        </div>
    }
    .into_any();
    alone(title, false, context::viewer().as_ref(), body, None)
}

fn sign_in() -> AnyView {
    let here = use_context::<axum::http::request::Parts>()
        .and_then(|parts| parts.uri.path_and_query().map(ToString::to_string))
        .unwrap_or_else(|| "/".to_owned());
    let to = format!("/sign-in?return_to={}", encode(&here));
    context::set_status(StatusCode::SEE_OTHER);
    context::set_header(header::LOCATION, &to);
    let body = view! {
        <div class="lost">
            <h1>{t("sign-in-title")}</h1>
            <a class="button primary" href=to>{t("sign-in-button")}</a>
        </div>
    }
    .into_any();
    alone(t("sign-in-title"), true, None, body, None)
}

pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_way_back_stays_one_parameter() {
        assert_eq!(super::encode("/a?b=c&d"), "/a%3Fb%3Dc%26d");
    }
}
