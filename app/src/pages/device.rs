//! A device without a browser asks: its person types the code it shows, and
//! allows or denies (RFC 8628 §3.3).

use leptos::prelude::*;

use super::{Asked, asked};
use crate::context::DeviceAsked;
use crate::parts::{Field, form_banner, mark, text_field, wordmark};
use crate::shell::alone;
use crate::words::{t, tv};

pub fn page() -> AnyView {
    let device = use_context::<DeviceAsked>();
    asked(|asked| async move {
        let (title, body) = match (&device, asked.query("done").as_str()) {
            (Some(device), _) => (
                tv("consent-title", &[("client", &device.client_name)]),
                question(&asked, device),
            ),
            (None, "allowed") => (t("device-allowed-title"), done(true)),
            (None, "denied") => (t("device-denied-title"), done(false)),
            (None, _) => (t("device-title"), code(&asked)),
        };
        Ok(alone(title, false, Some(&asked.seen.viewer), body, None))
    })
}

fn code(asked: &Asked) -> AnyView {
    view! {
        <form class="sheet" method="post" action="/device">
            <div>
                <h1>{t("device-title")}</h1>
                <p class="lede">{t("device-lede")}</p>
                {form_banner(&asked.form)}
            </div>
            {text_field(
                &asked.form,
                Field {
                    name: "user_code",
                    label: "device-code",
                    kind: "text",
                    autocomplete: "off",
                    placeholder: "BCDF-GHJK",
                    required: true,
                    ..Field::default()
                },
            )}
            <div class="deciders">
                <button class="button primary large" type="submit">
                    {t("device-go")}
                </button>
            </div>
        </form>
    }
    .into_any()
}

fn question(asked: &Asked, device: &DeviceAsked) -> AnyView {
    let known = if device.verified {
        t("consent-verified")
    } else {
        t("consent-unverified")
    };
    view! {
        <form class="sheet" method="post" action="/device">
            <div>
                <div class="pair">
                    {mark("client", "large")} <span class="dots" aria-hidden="true"></span>
                    <span class="mark large agent" aria-hidden="true">
                        <span class="only-mark">{wordmark()}</span>
                    </span>
                </div>
                <h1>{tv("consent-title", &[("client", &device.client_name)])}</h1>
                <p class="lede">{known} " · " <code>{device.client_id.clone()}</code></p>
                {form_banner(&asked.form)}
            </div>
            <div class="binding">
                <code>{device.user_code.clone()}</code>
                <p class="field-hint">{t("device-shows")}</p>
            </div>
            {super::consent::scopes(&device.scopes)}
            {super::consent::audiences(&device.audiences)}
            <input type="hidden" name="user_code" value=device.user_code.clone() />
            <div class="deciders">
                <div class="two">
                    <button class="button large" type="submit" name="decision" value="deny">
                        {t("consent-deny")}
                    </button>
                    <button class="button primary large" type="submit" name="decision" value="allow">
                        {t("consent-allow")}
                    </button>
                </div>
                <p class="field-hint">{t("consent-foot")}</p>
            </div>
        </form>
    }
    .into_any()
}

fn done(allowed: bool) -> AnyView {
    let (title, text) = if allowed {
        (t("device-allowed-title"), t("device-allowed-text"))
    } else {
        (t("device-denied-title"), t("device-denied-text"))
    };
    view! {
        <div class="sheet">
            <div>
                <h1>{title}</h1>
                <p class="lede" role="status">
                    {text}
                </p>
            </div>
            <p>
                <a class="button" href="/">
                    {t("back-to-overview")}
                </a>
            </p>
        </div>
    }
    .into_any()
}
