//! The page before a provider's consent page: what will be asked for, and
//! whether the agent that asked may use it.

use leptos::prelude::*;

use super::{Asked, asked};
use crate::api::Problem;
use crate::api::accounts::{LinkAgent, ssr};
use crate::parts::{Icon, check, form_banner, icon, mark, wordmark};
use crate::shell::alone;
use crate::words::{t, tv};

pub fn page() -> AnyView {
    asked(draw)
}

async fn draw(asked: Asked) -> Result<AnyView, Problem> {
    // From the address, or from the form that was refused.
    let given = |name: &str| {
        let value = asked.query(name);
        if value.is_empty() {
            asked.form.value(name)
        } else {
            value
        }
    };
    let (client, run, return_to) = (given("client"), given("run"), given("return_to"));
    let page = ssr::link_page(&asked.seen, &asked.part("connection"), &client, &run).await?;
    let provider = page.connection.provider_name.clone();
    let title = tv("link-title", &[("provider", &provider)]);
    let scopes = page
        .connection
        .scopes
        .iter()
        .map(|words| view! { <li>{icon(Icon::Tick)} <span>{words.clone()}</span></li> })
        .collect_view();
    let cancel = if !run.is_empty() {
        format!("/agent/runs/{run}")
    } else if return_to.starts_with('/') && !return_to.starts_with("//") {
        return_to.clone()
    } else {
        "/accounts".to_owned()
    };
    let body = view! {
        <form
            class="sheet"
            method="post"
            action=format!("/accounts/link/{}", page.connection.id)
        >
            <div>
                <div class="pair">
                    <span class="mark large agent" aria-hidden="true">{wordmark_mark()}</span>
                    <span class="dots" aria-hidden="true"></span>
                    {mark(&page.connection.provider, "large")}
                </div>
                <h1>{title.clone()}</h1>
                <p class="lede">{tv("link-lede", &[("provider", &provider)])}</p>
                {form_banner(&asked.form)}
            </div>
            <div>
                <h2>{t("link-scopes")}</h2>
                <ul class="ticks">{scopes}</ul>
            </div>
            {page.agent.as_ref().map(|agent| let_agent(agent, &provider))}
            <div class="deciders">
                <input type="hidden" name="return_to" value=return_to />
                <input type="hidden" name="run" value=run />
                <div class="two">
                    <a class="button large" href=cancel>
                        {t("cancel")}
                    </a>
                    <button class="button primary large" type="submit">
                        {tv("link-go", &[("provider", &provider)])}
                    </button>
                </div>
            </div>
        </form>
    }
    .into_any();
    Ok(alone(
        title,
        false,
        Some(&asked.seen.viewer),
        body,
        Some(t("link-foot")),
    ))
}

fn let_agent(agent: &LinkAgent, provider: &str) -> AnyView {
    let blanks = [("agent", agent.name.as_str()), ("provider", provider)];
    let (words, more) = if agent.release {
        (tv("link-let-release", &blanks), t("link-release-text"))
    } else {
        (tv("link-let-call", &blanks), t("link-call-text"))
    };
    view! {
        <div>
            <input type="hidden" name="client" value=agent.id.clone() />
            <input
                type="hidden"
                name="mode"
                value=if agent.release { "release" } else { "call" }
            />
            {check("permit", "on", words, Some(more), !agent.release)}
        </div>
    }
    .into_any()
}

/// The mark of the wordmark without its word.
fn wordmark_mark() -> AnyView {
    view! { <span class="only-mark">{wordmark()}</span> }.into_any()
}
