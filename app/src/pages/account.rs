//! One account: what it is, who may use it, and the way to unlink it.

use leptos::prelude::*;

use super::accounts::ticks;
use super::{Asked, in_console};
use crate::api::accounts::{AccountCard, AgentAccess, ssr};
use crate::api::{Problem, Tone, stamp};
use crate::parts::{Icon, banner, copyable, empty, facts, form_banner, mark, status, when};
use crate::shell::{Head, Place};
use crate::words::{t, tv};

pub fn page() -> AnyView {
    in_console(draw)
}

async fn draw(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let account = ssr::one(&asked.seen, &asked.part("id")).await?;
    let head = Head::new(
        Place::Accounts,
        account.label.clone(),
        tv("account-lede", &[("provider", &account.provider_name)]),
    )
    .back("/accounts", t("accounts-title"))
    .narrow();
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
    let held = asked.query("held_until").parse().ok().map(|at| {
        let until = stamp(asked.seen.engine.now(), at);
        let text = tv("held-until", &[("until", &until.full)]);
        banner(Tone::Good, t("held-title"), Some(text), None)
    });
    let body = view! {
        {form_banner(&asked.form)}
        {held}
        {relink}
        <section class="card padded">
            <div class="asker">
                {mark(&account.provider, "")} <div>
                    <b>{account.label.clone()}</b>
                    {status(&account.status)}
                </div>
            </div>
            {facts(details(&account))}
            {account.may_become_default.then(|| make_default(&account.id))}
        </section>
        <section class="section">
            <div class="section-head">
                <h2>{t("account-agents")}</h2>
                <p>{t("account-agents-text")}</p>
            </div>
            {agents(&account)}
        </section>
        {(!account.unlinked).then(|| unlink(&account))}
    }
    .into_any();
    Ok((head, body))
}

fn details(account: &AccountCard) -> Vec<(String, AnyView)> {
    vec![
        (
            t("account-provider"),
            account.provider_name.clone().into_any(),
        ),
        (
            t("account-connection"),
            view! { <code>{account.connection.clone()}</code> }.into_any(),
        ),
        (t("account-may"), ticks(&account.scopes)),
        (t("account-linked-since"), when(&account.linked).into_any()),
        (
            t("account-last-used"),
            match &account.used {
                Some(used) => when(used).into_any(),
                None => t("account-never-used").into_any(),
            },
        ),
        (t("account-id"), copyable(&account.id)),
    ]
}

fn make_default(id: &str) -> AnyView {
    view! {
        <form method="post" action=format!("/accounts/{id}/default")>
            <button class="button small" type="submit">
                {t("account-make-default")}
            </button>
        </form>
    }
    .into_any()
}

fn agents(account: &AccountCard) -> AnyView {
    if account.agents.is_empty() {
        return empty(
            Icon::Agent,
            t("account-no-agents"),
            t("account-no-agents-text"),
            None,
        );
    }
    let back = format!("/accounts/{}", account.id);
    let rows = account
        .agents
        .iter()
        .map(|agent| view! { <li>{agent_row(agent, &back)}</li> })
        .collect_view();
    view! { <ul class="card rows">{rows}</ul> }.into_any()
}

fn agent_row(agent: &AgentAccess, back: &str) -> AnyView {
    let (action, words) = if agent.paused {
        ("resume", t("permission-resume"))
    } else {
        ("pause", t("permission-pause"))
    };
    let hidden = format!(" {}", agent.agent);
    view! {
        <div class="row wraps">
            {mark(if agent.release { "client" } else { "agent" }, "small")}
            <div class="row-main">
                <p class="row-title">
                    {agent.agent.clone()}
                    {agent.paused.then(|| view! { <span class="tag">{t("permission-paused")}</span> })}
                </p>
                <p class="row-text">
                    {agent.mode.clone()} " · " {t("permission-since")} " " {when(&agent.since)}
                </p>
            </div>
            <form
                class="row-side"
                method="post"
                action=format!("/permissions/{}", agent.permission_id)
            >
                <input type="hidden" name="return_to" value=back.to_owned() />
                <button class="button small" type="submit" name="action" value=action>
                    {words}
                    <span class="visually-hidden">{hidden.clone()}</span>
                </button>
                <button class="button small danger" type="submit" name="action" value="revoke">
                    {t("permission-revoke")}
                    <span class="visually-hidden">{hidden}</span>
                </button>
            </form>
        </div>
    }
    .into_any()
}

fn unlink(account: &AccountCard) -> AnyView {
    let releases = account.agents.iter().any(|agent| agent.release);
    view! {
        <section class="section" id="unlink">
            <div class="section-head">
                <h2>{t("unlink-title")}</h2>
            </div>
            <div class="card padded">
                <p class="muted">
                    {tv("unlink-text", &[("provider", &account.provider_name)])}
                    {releases.then(|| format!(" {}", t("unlink-releases")))}
                </p>
                <form method="post" action=format!("/accounts/{}/unlink", account.id)>
                    <button class="button danger solid" type="submit">
                        {tv("unlink-button", &[("account", &account.label)])}
                    </button>
                </form>
            </div>
        </section>
    }
    .into_any()
}
