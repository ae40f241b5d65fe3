//! What a person has linked, and what they can link.

use leptos::prelude::*;

use super::{Asked, in_console};
use crate::api::accounts::{AccountCard, AgentAccess, ConnectionCard, ssr};
use crate::api::{Problem, Tone, stamp};
use crate::parts::{Icon, banner, empty, icon, mark, notice, status, when};
use crate::shell::{Head, Place};
use crate::words::{t, tn, tv};

pub fn page() -> AnyView {
    in_console(draw)
}

async fn draw(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let mine = ssr::list(&asked.seen).await?;
    let linkable = ssr::linkable(&asked.seen, &mine).await?;
    let said = said(&asked, &mine, &linkable);
    let list = if mine.is_empty() {
        empty(
            Icon::Accounts,
            t("accounts-empty-title"),
            t("accounts-empty-text"),
            None,
        )
    } else {
        let cards = mine
            .iter()
            .map(|account| view! { <li>{card(account)}</li> })
            .collect_view();
        view! { <ul class="card rows" data-list="accounts">{cards}</ul> }.into_any()
    };
    let connections = if linkable.is_empty() {
        let text = if asked.seen.viewer.admin {
            t("connections-none-admin")
        } else {
            t("connections-none")
        };
        empty(
            Icon::Connections,
            t("connections-none-title"),
            text,
            asked
                .seen
                .viewer
                .admin
                .then(|| ("/admin/connections", t("connections-none-action"))),
        )
    } else {
        let cards = linkable
            .iter()
            .map(|card| view! { <li class="card connection">{connection(card)}</li> })
            .collect_view();
        view! { <ul class="connections">{cards}</ul> }.into_any()
    };
    let head = Head::new(Place::Accounts, t("accounts-title"), t("accounts-lede"));
    let body = view! {
        {notice(&asked.form)}
        {said}
        <section class="section">
            <div class="section-head">
                <h2>{t("accounts-linked")}</h2>
            </div>
            {list}
        </section>
        <section class="section">
            <div class="section-head">
                <h2>{t("accounts-more")}</h2>
                <p>{t("accounts-more-text")}</p>
            </div>
            {connections}
        </section>
    }
    .into_any();
    Ok((head, body))
}

/// What just happened, as the address says.
fn said(asked: &Asked, mine: &[AccountCard], linkable: &[ConnectionCard]) -> Option<AnyView> {
    let linked = asked.query("linked");
    if let Some(account) = mine.iter().find(|account| account.id == linked) {
        return Some(banner(
            Tone::Good,
            tv("linked-title", &[("provider", &account.provider_name)]),
            Some(tv("linked-text", &[("account", &account.label)])),
            Some(("/agent".to_owned(), t("linked-action"))),
        ));
    }
    if !asked.query("unlinked").is_empty() {
        let until = asked.query("until").parse().ok().map(|at| {
            let until = stamp(asked.seen.engine.now(), at);
            tv("unlinked-until", &[("until", &until.full)])
        });
        let text = until.unwrap_or_else(|| t("unlinked-text"));
        return Some(banner(Tone::Good, t("unlinked-title"), Some(text), None));
    }
    let what = asked.query("link");
    let text = match what.as_str() {
        "" => return None,
        "denied" => t("link-denied-text"),
        "invalid" => t("link-invalid-text"),
        _ => t("link-failed-text"),
    };
    let wanted = asked.query("connection");
    let connection = linkable.iter().find(|connection| connection.id == wanted);
    let title = connection.map_or_else(
        || t("link-failed-any"),
        |connection| {
            tv(
                "link-failed-title",
                &[("provider", &connection.provider_name)],
            )
        },
    );
    let again = connection.map(|connection| {
        (
            format!("/accounts/link/{}", connection.id),
            t("link-failed-action"),
        )
    });
    Some(banner(Tone::Bad, title, Some(text), again))
}

fn card(account: &AccountCard) -> AnyView {
    let href = format!("/accounts/{}", account.id);
    let relink = account.reconnect.then(|| {
        banner(
            Tone::Bad,
            t("reconnect-title"),
            account.reason.clone(),
            Some((
                format!("/accounts/link/{}", account.connection),
                tv("link-again", &[("provider", &account.provider_name)]),
            )),
        )
    });
    view! {
        <article class="account" data-account=account.id.clone()>
            {mark(&account.provider, "")}
            <div class="account-head">
                <h3 class="row-title">
                    {account.label.clone()}
                    {account.default.then(|| view! { <span class="tag">{t("account-default")}</span> })}
                </h3>
                <p class="row-text">
                    {account.provider_name.clone()} " · " <code>{account.connection.clone()}</code>
                    " · " {used(account)}
                </p>
            </div>
            {status(&account.status)}
            <div class="account-more">
                {relink}
                {ticks(&account.scopes)}
                {agents(&account.agents)}
                <p class="actions">
                    <a class="button small" href=href>
                        {t("account-manage")}
                        <span class="visually-hidden">{format!(" {}", account.label)}</span>
                    </a>
                </p>
            </div>
        </article>
    }
    .into_any()
}

fn used(account: &AccountCard) -> AnyView {
    match &account.used {
        Some(used) => view! { <span>{t("account-last-used")} " " {when(used)}</span> }.into_any(),
        None => t("account-never-used").into_any(),
    }
}

fn agents(agents: &[AgentAccess]) -> AnyView {
    if agents.is_empty() {
        return view! { <p class="row-text">{t("account-no-agents")}</p> }.into_any();
    }
    let rows = agents
        .iter()
        .map(|agent| {
            view! {
                <li>
                    <strong>{agent.agent.clone()}</strong>
                    <span class="muted">{agent.mode.clone()}</span>
                    {agent.paused.then(|| view! { <span class="tag">{t("permission-paused")}</span> })}
                </li>
            }
        })
        .collect_view();
    view! { <ul class="account-agents" aria-label=t("account-agents")>{rows}</ul> }.into_any()
}

/// What was granted, each with a tick.
pub(super) fn ticks(scopes: &[String]) -> AnyView {
    let rows = scopes
        .iter()
        .map(|words| view! { <li>{icon(Icon::Tick)} <span>{words.clone()}</span></li> })
        .collect_view();
    view! { <ul class="ticks small">{rows}</ul> }.into_any()
}

fn connection(card: &ConnectionCard) -> AnyView {
    let words = if card.linked == 0 {
        tv("link-provider", &[("provider", &card.provider_name)])
    } else {
        tv("link-another", &[("provider", &card.provider_name)])
    };
    let class = if card.linked == 0 {
        "button primary"
    } else {
        "button"
    };
    let state = if card.usable {
        view! {
            <a class=class href=format!("/accounts/link/{}", card.id)>
                {words}
            </a>
        }
        .into_any()
    } else {
        view! { <p class="field-error">{icon(Icon::Warning)} {t("connection-broken")}</p> }
            .into_any()
    };
    let linked = i64::try_from(card.linked).unwrap_or_default();
    view! {
        <div class="asker">
            {mark(&card.provider, "")} <div>
                <b>{card.provider_name.clone()}</b>
                <span class="field-hint">
                    {if card.linked == 0 {
                        t("connection-not-linked")
                    } else {
                        tn("connection-linked", linked)
                    }}
                </span>
            </div>
        </div>
        {ticks(&card.scopes)}
        <p class="actions">{state}</p>
    }
    .into_any()
}
