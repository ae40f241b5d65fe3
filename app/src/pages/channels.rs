//! Other ways to be told, on the page of devices: mail, a webhook, the order in
//! which they are tried, and what became of the last ones. Plain forms.

use leptos::prelude::*;

use super::Asked;
use crate::api::channels::{ChannelRow, ChannelsPart, DeliveryRow};
use crate::context::FreshSecret;
use crate::parts::{CopyButton, Field, Icon, icon, status, text_field, when};
use crate::words::{t, tv};

pub(super) fn section(asked: &Asked, part: &ChannelsPart, fresh: Option<FreshSecret>) -> AnyView {
    let rows = part
        .channels
        .iter()
        .enumerate()
        .map(|(at, channel)| view! { <li>{row(at, channel)}</li> })
        .collect_view();
    let list = (!part.channels.is_empty()).then(|| view! { <ol class="card rows">{rows}</ol> });
    let by_mail = part.mail_to.clone().map(|address| {
        view! {
            <form method="post" action="/devices/channels" autocomplete="off">
                <input type="hidden" name="kind" value="mail" />
                <p class="actions">
                    <button class="button" type="submit">
                        {tv("channel-add-mail", &[("address", &address)])}
                    </button>
                </p>
            </form>
        }
    });
    view! {
        <section class="section" id="channels">
            <div class="section-head">
                <h2>{t("channels-title")}</h2>
                <p>{t("channels-text")}</p>
            </div>
            {fresh.map(secret)}
            {list}
            {by_mail}
            <details class="more" open=part.webhook_open>
                <summary>{t("channel-webhook-summary")}</summary>
                <form
                    class="card padded form"
                    method="post"
                    action="/devices/channels"
                    autocomplete="off"
                >
                    <input type="hidden" name="kind" value="webhook" />
                    {text_field(
                        &asked.form,
                        Field {
                            name: "address",
                            label: "channel-address",
                            hint: Some("channel-address-hint"),
                            kind: "url",
                            autocomplete: "off",
                            required: true,
                            placeholder: "https://",
                        },
                    )}
                    <p class="actions">
                        <button class="button" type="submit">
                            {t("channel-add-webhook")}
                        </button>
                    </p>
                </form>
            </details>
            {log(&part.deliveries)}
        </section>
    }
    .into_any()
}

fn secret(fresh: FreshSecret) -> AnyView {
    view! {
        <div class="banner good" role="status">
            {icon(Icon::Tick)} <div class="form">
                <p>
                    <strong>{t("channel-secret-title")}</strong>
                </p>
                <p class="muted">{t("channel-secret-text")}</p>
                <p class="secret">
                    <code>{fresh.secret.clone()}</code>
                    <CopyButton text=fresh.secret label=t("copy-secret") done_label=t("copied") />
                </p>
            </div>
        </div>
    }
    .into_any()
}

fn row(at: usize, channel: &ChannelRow) -> AnyView {
    let hidden = format!(" {}", channel.target);
    let button = |action: &str, class: &'static str, words: String| {
        let (to, hidden) = (
            format!("/devices/channels/{}/{action}", channel.id),
            hidden.clone(),
        );
        view! {
            <form method="post" action=to>
                <button class=class type="submit">
                    {words}
                    <span class="visually-hidden">{hidden}</span>
                </button>
            </form>
        }
    };
    view! {
        <div class="row wraps">
            <div class="row-main">
                <p class="row-title">
                    <span>{channel.name.clone()}</span>
                    {status(&channel.status)}
                </p>
                <p class="row-text">
                    {channel.target.clone()} " · " {t("notices-since")} " " {when(&channel.since)}
                </p>
            </div>
            <div class="row-side">
                {(at > 0).then(|| button("raise", "button small", t("channel-raise")))}
                {button("test", "button small", t("channel-test"))}
                {button("remove", "button small danger", t("channel-remove"))}
            </div>
        </div>
    }
    .into_any()
}

fn log(deliveries: &[DeliveryRow]) -> Option<AnyView> {
    if deliveries.is_empty() {
        return None;
    }
    let rows = deliveries
        .iter()
        .map(|one| {
            let what = match &one.href {
                Some(href) => view! { <a href=href.clone()>{one.what.clone()}</a> }.into_any(),
                None => one.what.clone().into_any(),
            };
            view! {
                <li>
                    <div class="row wraps">
                        <div class="row-main">
                            <p class="row-title">
                                <span>{what}</span>
                                {status(&one.status)}
                            </p>
                            <p class="row-text">
                                {one.by.clone()} " · " {when(&one.at)}
                                {one.detail.clone().map(|detail| format!(" · {detail}"))}
                            </p>
                        </div>
                    </div>
                </li>
            }
        })
        .collect_view();
    let view = view! {
        <details class="more">
            <summary>{t("channel-log")}</summary>
            <ul class="card rows">{rows}</ul>
        </details>
    };
    Some(view.into_any())
}
