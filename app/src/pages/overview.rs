//! The first page: what needs attention, what happened, where to begin.

use leptos::prelude::*;

use super::{Asked, in_console};
use crate::api::accounts::AccountCard;
use crate::api::activity::{About, ActivityRow};
use crate::api::approvals::ApprovalRow;
use crate::api::{Problem, accounts, activity, approvals};
use crate::parts::{Icon, PendingList, empty, icon, mark, notice, status};
use crate::shell::{Head, Place};
use crate::words::{t, tv};

pub fn page() -> AnyView {
    in_console(draw)
}

async fn draw(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let pending = approvals::ssr::pending(&asked.seen).await?;
    let mine = accounts::ssr::list(&asked.seen).await?;
    let recent = activity::ssr::list(&asked.seen, About::All, None, 8).await?;
    let first = asked
        .seen
        .viewer
        .name
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned();
    let head = Head::new(
        Place::Overview,
        tv("overview-title", &[("name", &first)]),
        t("overview-lede"),
    );
    let body = view! {
        {notice(&asked.form)}
        {attention(pending, &mine)}
        {starts(&mine)}
        <section class="section">
            <div class="section-head">
                <h2>{t("overview-recent")}</h2>
                <a href="/activity">{t("overview-all-activity")}</a>
            </div>
            {events(&recent.rows)}
        </section>
    }
    .into_any();
    Ok((head, body))
}

fn attention(pending: Vec<ApprovalRow>, mine: &[AccountCard]) -> AnyView {
    let broken: Vec<AnyView> = mine
        .iter()
        .filter(|account| account.reconnect)
        .map(|account| {
            let href = format!("/accounts/link/{}", account.connection);
            view! {
                <li>
                    <a class="row" href=href>
                        {mark(&account.provider, "small")}
                        <span class="row-main">
                            <span class="row-title">
                                {tv("attention-reconnect", &[("account", &account.label)])}
                            </span>
                            <span class="row-text">{account.reason.clone()}</span>
                        </span>
                        <span class="row-side">{status(&account.status)}</span>
                    </a>
                </li>
            }
            .into_any()
        })
        .collect();
    let clear = broken.is_empty();
    view! {
        <section class="section">
            <div class="section-head">
                <h2>{t("attention-title")}</h2>
            </div>
            {(!clear).then(|| view! { <ul class="card rows">{broken}</ul> })}
            <PendingList
                initial=pending
                until=t("approval-expires")
                changed=t("approvals-changed")
            >
                {clear
                    .then(|| {
                        view! {
                            <p class="card all-clear">{icon(Icon::Tick)} {t("attention-none")}</p>
                        }
                    })}
            </PendingList>
        </section>
    }
    .into_any()
}

fn starts(mine: &[AccountCard]) -> AnyView {
    let linked = mine.iter().any(|account| !account.unlinked);
    let start = |href: &'static str, which: Icon, title: &str, text: &str, done: bool| {
        view! {
            <a class=if done { "card start done" } else { "card start" } href=href>
                <span class="mark agent" aria-hidden="true">
                    {icon(which)}
                </span>
                <h3>{t(title)}</h3>
                <p>{t(text)}</p>
            </a>
        }
        .into_any()
    };
    view! {
        <section class="section">
            <div class="section-head">
                <h2>{t("start-title")}</h2>
            </div>
            <div class="starts">
                {start("/accounts", Icon::Accounts, "start-link-title", "start-link-text", linked)}
                {start("/agent", Icon::Agent, "start-agent-title", "start-agent-text", false)}
                {start("/activity", Icon::Activity, "start-watch-title", "start-watch-text", false)}
            </div>
        </section>
    }
    .into_any()
}

/// Events as rows, or why there are none.
pub(super) fn events(rows: &[ActivityRow]) -> AnyView {
    if rows.is_empty() {
        return empty(
            Icon::Activity,
            t("activity-empty-title"),
            t("activity-empty-text"),
            Some(("/agent", t("activity-empty-action"))),
        );
    }
    let rows = rows.iter().map(super::activity::event_row).collect_view();
    view! { <ul class="card rows">{rows}</ul> }.into_any()
}
