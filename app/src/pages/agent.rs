//! The embedded agent: the prompt, and its runs.

use leptos::prelude::*;

use super::{Asked, in_console};
use crate::api::runs::{RunRow, ssr};
use crate::api::{Problem, Tone};
use crate::parts::{
    Icon, Prompt, PromptWords, RunBoard, RunWords, banner, empty, form_banner, icon, status, when,
};
use crate::shell::{Head, Place};
use crate::words::t;

pub fn page() -> AnyView {
    in_console(draw)
}

pub fn run_page() -> AnyView {
    in_console(draw_run)
}

async fn draw(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let runs = ssr::recent(&asked.seen).await?;
    let mut value = asked.form.value("prompt");
    if value.is_empty() {
        value = asked.query("prompt");
    }
    let words = PromptWords {
        label: t("prompt-label"),
        placeholder: t("prompt-placeholder"),
        submit: t("prompt-submit"),
        busy: t("prompt-busy"),
        examples: t("prompt-examples"),
        failed: t("problem-broken"),
    };
    let head = Head::new(Place::Agent, t("agent-title"), t("agent-lede"));
    let own = asked.form.error("prompt");
    let own_banner = own.is_none().then(|| form_banner(&asked.form)).flatten();
    let consent = match asked.query("consent").as_str() {
        "" => None,
        "denied" => Some(t("agent-consent-denied")),
        _ => Some(t("agent-consent-failed")),
    };
    let body = view! {
        {own_banner}
        {consent.map(|words| banner(Tone::Bad, words, None, None))}
        <Prompt words=words value=value error=own examples=ssr::examples() />
        <section class="section">
            <div class="section-head">
                <h2>{t("runs-title")}</h2>
            </div>
            {list(&runs)}
        </section>
    }
    .into_any();
    Ok((head, body))
}

fn list(runs: &[RunRow]) -> AnyView {
    if runs.is_empty() {
        return empty(
            Icon::Agent,
            t("runs-empty-title"),
            t("runs-empty-text"),
            None,
        );
    }
    let rows = runs
        .iter()
        .map(|run| {
            view! {
                <li>
                    <a class="row wraps" href=run.href.clone()>
                        <span class="row-main">
                            <span class="row-title">{run.prompt.clone()}</span>
                            <span class="row-text">{when(&run.begun)}</span>
                        </span>
                        <span class="row-side">
                            {status(&run.status)}
                            <span class="chevron">{icon(Icon::Chevron)}</span>
                        </span>
                    </a>
                </li>
            }
        })
        .collect_view();
    view! { <ul class="card rows" data-list="runs">{rows}</ul> }.into_any()
}

async fn draw_run(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let run = ssr::view(&asked.seen, &asked.part("id")).await?;
    let words = RunWords {
        begun: t("run-begun"),
        steps: t("run-steps"),
        answer: t("run-answer"),
        no_steps: t("run-no-steps"),
        cancel: t("run-cancel"),
        no_rows: t("run-no-rows"),
    };
    let mut head = Head::new(Place::Agent, t("run-title"), String::new())
        .back("/agent", t("agent-title"))
        .narrow();
    head.lede = None;
    let body = view! {
        {form_banner(&asked.form)}
        {(!asked.query("link").is_empty())
            .then(|| banner(Tone::Bad, t("link-failed-any"), Some(t("link-failed-text")), None))}
        <RunBoard initial=run words=words />
    }
    .into_any();
    Ok((head, body))
}
