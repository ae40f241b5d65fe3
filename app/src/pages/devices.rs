//! Devices: what a person approves with. Adding one takes a script and a
//! browser that has passkeys (`passkeys.js`); everything else is plain forms.

use leptos::nonce::use_nonce;
use leptos::prelude::*;

use super::{Asked, channels, in_console};
use crate::api::devices::{BrowserRow, DeviceRow, DevicesPage, ssr};
use crate::api::{Problem, Status, Tone};
use crate::context::{FreshCodes, FreshSecret};
use crate::parts::{Field, Icon, banner, empty, form_banner, icon, status, text_field, when};
use crate::shell::{Head, Place};
use crate::words::{t, tn, tv};

pub fn page() -> AnyView {
    in_console(|asked| {
        let fresh = use_context::<FreshCodes>();
        let secret = use_context::<FreshSecret>();
        draw(asked, fresh, secret)
    })
}

async fn draw(
    asked: Asked,
    fresh: Option<FreshCodes>,
    secret: Option<FreshSecret>,
) -> Result<(Head, AnyView), Problem> {
    // A webhook's form stands open again with what was wrong in it.
    let page = ssr::page(&asked.seen, asked.form.value("kind") == "webhook").await?;
    let head = Head::new(Place::Devices, t("devices-title"), t("devices-lede")).narrow();
    let added = asked.query("added");
    let added = page.devices.iter().find(|device| device.id == added);
    let done = match added {
        Some(device) => Some(tv("device-added", &[("device", &device.name)])),
        None if !asked.query("removed").is_empty() => Some(t("device-removed")),
        None => match asked.query("notices").as_str() {
            "on" => Some(t("notices-are-on")),
            "off" => Some(t("notices-are-off")),
            _ => match asked.query("channels").as_str() {
                "added" => Some(t("channel-added")),
                "tested" => Some(t("channel-tested")),
                "removed" => Some(t("channel-was-removed")),
                _ => None,
            },
        },
    };
    let list = if page.devices.is_empty() {
        empty(
            Icon::Device,
            t("devices-empty-title"),
            t("devices-empty-text"),
            None,
        )
    } else {
        let rows = page
            .devices
            .iter()
            .map(|device| view! { <li>{row(device)}</li> })
            .collect_view();
        view! { <ul class="card rows">{rows}</ul> }.into_any()
    };
    let body = view! {
        {form_banner(&asked.form)}
        {done.map(|words| banner(Tone::Good, words, None, None))}
        {fresh.map(codes_once)}
        {list}
        {if page.possible {
            add(&asked, &page)
        } else {
            banner(Tone::Wait, t("devices-impossible"), None, None)
        }}
        {notices(&asked, &page)}
        {channels::section(&asked, &page.channels, secret)}
        {page.had_one.then(|| recovery(&page))}
        {script()}
    }
    .into_any();
    Ok((head, body))
}

/// The script of passkeys, with the sentences it says.
pub(super) fn script() -> AnyView {
    view! {
        <script
            type="module"
            src="/passkeys.js"
            nonce=use_nonce()
            data-cancelled=t("passkey-cancelled")
            data-unable=t("passkey-unable")
            data-away=t("passkey-away")
            data-changed=t("passkey-changed")
            data-known=t("passkey-known")
        ></script>
    }
    .into_any()
}

fn row(device: &DeviceRow) -> AnyView {
    let hidden = format!(" {}", device.name);
    view! {
        <div class="row wraps">
            <div class="row-main">
                <p class="row-title">
                    <span>{device.name.clone()}</span>
                    {status(&device.status)}
                </p>
                <p class="row-text">
                    {device.kind.clone()} " · " {t("device-added-at")} " " {when(&device.added)} " · "
                    {match &device.used {
                        Some(used) => {
                            view! {
                                {t("device-used")}
                                " "
                                {when(used)}
                            }
                                .into_any()
                        }
                        None => t("device-never-used").into_any(),
                    }}
                </p>
                {device
                    .hold
                    .as_ref()
                    .map(|hold| {
                        view! {
                            <p class="row-text">{t("device-hold-text")} " " {when(hold)}</p>
                        }
                    })}
            </div>
            <div class="row-side">
                <form method="post" action=format!("/devices/{}/remove", device.id)>
                    <button class="button small danger" type="submit">
                        {t("device-remove")}
                        <span class="visually-hidden">{hidden}</span>
                    </button>
                </form>
            </div>
        </div>
    }
    .into_any()
}

/// Setting up this very device: confirmed by an older one, by a recovery code,
/// or, for the first, by having signed in just now.
fn add(asked: &Asked, page: &DevicesPage) -> AnyView {
    let how = if page.can_confirm {
        t("device-add-confirm")
    } else if page.had_one {
        t("device-add-recover")
    } else {
        t("device-add-first")
    };
    let button = if page.devices.is_empty() {
        "button primary"
    } else {
        "button"
    };
    let by_code = page.had_one.then(|| {
        let field = text_field(
            &asked.form,
            Field {
                name: "recovery_code",
                label: "recovery-code",
                hint: Some("recovery-code-hint"),
                kind: "text",
                autocomplete: "off",
                ..Field::default()
            },
        );
        if page.can_confirm {
            view! {
                <details class="more">
                    <summary>{t("device-lost")}</summary>
                    {field}
                </details>
            }
            .into_any()
        } else {
            field
        }
    });
    view! {
        <section class="section" id="add">
            <div class="section-head">
                <h2>{t("device-add-title")}</h2>
                <p>{how}</p>
            </div>
            <form
                class="card padded form"
                method="post"
                action="/devices"
                autocomplete="off"
                data-passkey="create"
                data-confirm=page.can_confirm.then_some("yes")
            >
                {text_field(
                    &asked.form,
                    Field {
                        name: "name",
                        label: "device-name",
                        hint: Some("device-name-hint"),
                        kind: "text",
                        autocomplete: "off",
                        required: true,
                        placeholder: "",
                    },
                )} {by_code} <input type="hidden" name="passkey" />
                <p class="field-error" role="alert" data-says hidden></p>
                <p data-sign-in-again hidden>
                    <a class="button" href="/sign-in?return_to=/devices">
                        {t("device-sign-in-again")}
                    </a>
                </p>
                <p class="actions">
                    <button class=button type="submit" disabled data-wakes>
                        {t("device-add-button")}
                    </button>
                </p>
                <noscript>
                    <p class="field-hint">{t("device-needs-script")}</p>
                </noscript>
            </form>
        </section>
    }
    .into_any()
}

/// Which browsers are told, and the way to have this one told.
fn notices(asked: &Asked, page: &DevicesPage) -> AnyView {
    let rows = page
        .browsers
        .iter()
        .map(|browser| view! { <li>{browser_row(browser)}</li> })
        .collect_view();
    let list = (!page.browsers.is_empty()).then(|| view! { <ul class="card rows">{rows}</ul> });
    view! {
        <section class="section" id="notices">
            <div class="section-head">
                <h2>{t("notices-title")}</h2>
                <p>{t("notices-text")}</p>
            </div>
            {list}
            <form
                class="card padded form"
                method="post"
                action="/devices/notices"
                autocomplete="off"
                data-push=page.push_key.clone()
                data-refused=t("notices-refused")
                data-failed=t("notices-failed")
                data-unable=t("notices-unable")
            >
                {text_field(
                    &asked.form,
                    Field {
                        name: "browser",
                        label: "browser-name",
                        hint: Some("browser-name-hint"),
                        kind: "text",
                        autocomplete: "off",
                        required: true,
                        placeholder: "",
                    },
                )} <input type="hidden" name="endpoint" /> <input type="hidden" name="p256dh" />
                <input type="hidden" name="auth" />
                <p class="field-error" role="alert" data-says hidden></p>
                <p class="actions">
                    <button class="button" type="submit" disabled data-wakes>
                        {t("notices-button")}
                    </button>
                </p>
                <noscript>
                    <p class="field-hint">{t("notices-need-script")}</p>
                </noscript>
            </form>
            <script type="module" src="/notices.js"></script>
        </section>
    }
    .into_any()
}

fn browser_row(browser: &BrowserRow) -> AnyView {
    let hidden = format!(" {}", browser.name);
    let state = if browser.failing {
        Status::new(Tone::Bad, t("notices-failing"))
    } else {
        Status::new(Tone::Good, t("notices-on"))
    };
    view! {
        <div class="row wraps">
            <div class="row-main">
                <p class="row-title">
                    <span>{browser.name.clone()}</span>
                    {status(&state)}
                </p>
                <p class="row-text">
                    {tv("notices-by", &[("host", &browser.host)])} " · " {t("notices-since")} " "
                    {when(&browser.since)}
                    {browser
                        .used
                        .as_ref()
                        .map(|used| {
                            view! {
                                " · "
                                {t("notices-last")}
                                " "
                                {when(used)}
                            }
                        })}
                </p>
            </div>
            <div class="row-side">
                <form method="post" action=format!("/devices/notices/{}/remove", browser.id)>
                    <button class="button small danger" type="submit">
                        {t("notices-off")}
                        <span class="visually-hidden">{hidden}</span>
                    </button>
                </form>
            </div>
        </div>
    }
    .into_any()
}

fn recovery(page: &DevicesPage) -> AnyView {
    let left = i64::try_from(page.codes_left).unwrap_or(0);
    view! {
        <section class="section">
            <div class="section-head">
                <h2>{t("recovery-title")}</h2>
                <p>{t("recovery-text")}</p>
            </div>
            <form class="card padded form" method="post" action="/devices/codes" data-passkey="confirm">
                <p>{tn("recovery-left", left)}</p>
                <input type="hidden" name="passkey" />
                <p class="field-error" role="alert" data-says hidden></p>
                {page
                    .can_confirm
                    .then(|| {
                        view! {
                            <p class="actions">
                                <button class="button" type="submit" disabled data-wakes>
                                    {t("recovery-button")}
                                </button>
                            </p>
                        }
                    })}
            </form>
        </section>
    }
    .into_any()
}

fn codes_once(fresh: FreshCodes) -> AnyView {
    let title = if fresh.first {
        t("recovery-fresh-first")
    } else {
        t("recovery-fresh")
    };
    let codes = fresh
        .codes
        .into_iter()
        .map(|code| {
            view! {
                <li>
                    <code>{code}</code>
                </li>
            }
        })
        .collect_view();
    view! {
        <div class="banner good" role="status">
            {icon(Icon::Tick)} <div class="form">
                <p>
                    <strong>{title}</strong>
                </p>
                <p class="muted">{t("recovery-fresh-text")}</p>
                <ul class="codes">{codes}</ul>
            </div>
        </div>
    }
    .into_any()
}
