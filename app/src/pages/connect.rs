//! The page of a ticket: a client asks its person for an account.

use axum::http::StatusCode;
use leptos::prelude::*;

use super::{Asked, asked};
use crate::api::accounts::{TicketPage, ssr};
use crate::api::{Problem, Tone};
use crate::context;
use crate::parts::{Icon, banner, form_banner, icon, mark, radio};
use crate::shell::alone;
use crate::words::{t, tv};

pub fn page() -> AnyView {
    asked(draw)
}

async fn draw(asked: Asked) -> Result<AnyView, Problem> {
    let ticket = asked.query("ticket");
    let found = ssr::ticket_page(&asked.seen, &ticket).await?;
    let (title, body) = match found {
        Ok(page) => {
            let blanks = [
                ("agent", page.agent.name.as_str()),
                ("provider", page.connection.provider_name.as_str()),
            ];
            (tv("connect-title", &blanks), form(&asked, &page, &ticket))
        }
        Err(somebody_else) => {
            context::set_status(if somebody_else {
                StatusCode::FORBIDDEN
            } else {
                StatusCode::GONE
            });
            refused(&asked, somebody_else)
        }
    };
    Ok(alone(
        title,
        false,
        Some(&asked.seen.viewer),
        body,
        Some(t("link-foot")),
    ))
}

fn form(asked: &Asked, page: &TicketPage, ticket: &str) -> AnyView {
    let provider = &page.connection.provider_name;
    let blanks = [
        ("agent", page.agent.name.as_str()),
        ("provider", provider.as_str()),
    ];
    let (mode, more) = if page.agent.release {
        (tv("connect-release", &blanks), t("link-release-text"))
    } else {
        (tv("connect-call", &blanks), t("link-call-text"))
    };
    let scopes = page
        .connection
        .scopes
        .iter()
        .map(|words| view! { <li>{icon(Icon::Tick)} <span>{words.clone()}</span></li> })
        .collect_view();
    let lede = if page.accounts.is_empty() {
        tv("link-lede", &[("provider", provider)])
    } else {
        t("connect-lede-again")
    };
    let go = if page.accounts.is_empty() {
        tv("link-go", &[("provider", provider)])
    } else {
        t("connect-go")
    };
    view! {
        <form class="sheet" method="post" action="/connected-accounts/connect">
            <div>
                <div class="pair">
                    {mark("client", "large")} <span class="dots" aria-hidden="true"></span>
                    {mark(&page.connection.provider, "large")}
                </div>
                <h1>{tv("connect-title", &blanks)}</h1>
                <p class="lede">
                    {tv("connect-who", &[("person", &asked.seen.viewer.email)])} " " {lede}
                </p>
                {form_banner(&asked.form)}
            </div>
            {choices(page)}
            <div>
                <h2>{mode}</h2>
                {page
                    .agent
                    .release
                    .then(|| banner(Tone::Wait, t("connect-release-warning"), None, None))}
                <p class="field-hint">{more}</p>
            </div>
            <div>
                <h2>{t("link-scopes")}</h2>
                <ul class="ticks">{scopes}</ul>
            </div>
            <input type="hidden" name="ticket" value=ticket.to_owned() />
            <div class="deciders">
                <div class="two">
                    <button class="button large" type="submit" name="decision" value="cancel">
                        {t("cancel")}
                    </button>
                    <button
                        class="button primary large"
                        type="submit"
                        name="decision"
                        value="continue"
                    >
                        {go}
                    </button>
                </div>
                <p class="field-hint">
                    {tv("consent-returns", &[("host", &page.returns_to)])}
                </p>
            </div>
        </form>
    }
    .into_any()
}

/// Which account, where there are some; the first is chosen.
fn choices(page: &TicketPage) -> AnyView {
    if page.accounts.is_empty() {
        return view! { <input type="hidden" name="account" value="new" /> }.into_any();
    }
    let provider = [("provider", page.connection.provider_name.as_str())];
    let rows = page
        .accounts
        .iter()
        .enumerate()
        .map(|(position, (id, label))| radio("account", id, label.clone(), position == 0))
        .collect_view();
    view! {
        <div role="radiogroup" aria-labelledby="which">
            <h2 id="which">{t("connect-which")}</h2>
            <div class="choices">
                {rows} {radio("account", "new", tv("link-another", &provider), false)}
            </div>
        </div>
    }
    .into_any()
}

fn refused(asked: &Asked, somebody_else: bool) -> (String, AnyView) {
    let (title, text) = if somebody_else {
        (
            t("connect-else-title"),
            tv("connect-else-text", &[("person", &asked.seen.viewer.email)]),
        )
    } else {
        (t("connect-gone-title"), t("connect-gone-text"))
    };
    let body = view! {
        <div class="lost">
            <h1>{title.clone()}</h1>
            <p class="muted">{text}</p>
            <a class="button" href="/accounts">
                {t("connect-to-accounts")}
            </a>
        </div>
    }
    .into_any();
    (title, body)
}
