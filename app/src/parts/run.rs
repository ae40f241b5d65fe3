//! A run of the agent with its steps, live.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::icon::{Icon, icon};
use super::status::{pill, shape, when};
use crate::api::runs::{Answer, RunView, StepRow};
#[cfg(feature = "hydrate")]
use crate::api::runs::{cancel_run, run_state};

/// What the board says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunWords {
    /// Before the time it began.
    pub begun: String,
    /// The heading over the steps.
    pub steps: String,
    /// The heading over the answer.
    pub answer: String,
    /// While nothing has happened yet.
    pub no_steps: String,
    /// The button that stops it.
    pub cancel: String,
    /// An answer with no rows.
    pub no_rows: String,
}

/// A run, kept current by live events until it is over. Without a script the
/// page shows how it stands when loaded, and *Stop* is a form.
#[island]
pub fn RunBoard(
    /// As it stands when the page is made.
    initial: RunView,
    /// What the board says.
    words: RunWords,
) -> impl IntoView {
    let id = initial.id.clone();
    let prompt = initial.prompt.clone();
    let begun = initial.begun.clone();
    let run = RwSignal::new(initial);
    #[cfg(feature = "hydrate")]
    {
        let id = id.clone();
        crate::live::refetch(
            &[
                "attorn:run",
                "attorn:approval",
                "attorn:account",
                "attorn:permission",
            ],
            true,
            move || run_state(id.clone()),
            move |fresh| {
                if run.with_untracked(|old| *old != fresh) {
                    run.set(fresh);
                }
            },
        );
    }
    let cancel_path = format!("/agent/runs/{id}/cancel");
    let cancel = move |event: leptos::ev::SubmitEvent| {
        #[cfg(feature = "hydrate")]
        {
            event.prevent_default();
            let id = id.clone();
            leptos::task::spawn_local(async move {
                if let Ok(fresh) = cancel_run(id).await {
                    run.set(fresh);
                }
            });
        }
        #[cfg(not(feature = "hydrate"))]
        let _ = (&event, &id);
    };
    // Only what changed is drawn again: the waiting link keeps its focus while
    // a step's time moves on.
    let state = Memo::new(move |_| run.with(|run| run.status.clone()));
    let waiting = Memo::new(move |_| run.with(|run| run.waiting.clone()));
    let answer = Memo::new(move |_| run.with(|run| run.answer.clone()));
    let over = Memo::new(move |_| run.with(|run| run.over));
    let no_steps = words.no_steps;
    let no_rows = words.no_rows;
    let answer_title = words.answer;
    view! {
        <div class="card padded">
            <p class="spoken">{prompt}</p>
            <div class="actions">
                <span role="status">{move || pill(&state.get())}</span>
                <span class="subtle">{words.begun} " " {when(&begun)}</span>
            </div>
        </div>
        {move || {
            waiting
                .get()
                .map(|waiting| {
                    view! {
                        <div class="banner wait" role="status">
                            {icon(Icon::Clock)} <div>
                                <p>{waiting.words}</p>
                            </div> <a class="button primary" href=waiting.href>{waiting.label}</a>
                        </div>
                    }
                })
        }}
        {move || {
            let (title, none) = (answer_title.clone(), no_rows.clone());
            answer
                .get()
                .map(|answer| {
                    view! {
                        <section class="section">
                            <h2>{title}</h2>
                            {show_answer(answer, none)}
                        </section>
                    }
                })
        }}
        <section class="section">
            <h2>{words.steps}</h2>
            <div class="card padded">
                <ol class="steps">
                    <For each=move || run.with(|run| run.steps.clone()) key=Clone::clone let:step>
                        {step_row(step)}
                    </For>
                </ol>
                <p class="muted" hidden=move || run.with(|run| !run.steps.is_empty())>
                    {no_steps}
                </p>
            </div>
        </section>
        <form method="post" action=cancel_path on:submit=cancel hidden=move || over.get()>
            <button class="button" type="submit">{words.cancel}</button>
        </form>
    }
}

fn step_row(step: StepRow) -> impl IntoView {
    let (which, class) = shape(step.status.tone);
    view! {
        <li>
            <span class=format!("status {class}")>
                {icon(which)} <span class="visually-hidden">{step.status.word.clone()}</span>
            </span>
            <div class="step">
                <div class="step-head">
                    <h3>{step.title}</h3>
                    {when(&step.begun)}
                </div>
                {step.text.map(|text| view! { <p class="step-text">{text}</p> })}
            </div>
        </li>
    }
}

fn show_answer(answer: Answer, none: String) -> AnyView {
    match answer {
        Answer::Text(text) => view! { <p class="card answer">{text}</p> }.into_any(),
        Answer::Table {
            title,
            columns,
            rows,
        } => {
            let head = columns
                .iter()
                .map(|name| view! { <th scope="col">{name.clone()}</th> })
                .collect_view();
            let empty = rows.is_empty();
            let label = title.clone();
            let body = rows
                .into_iter()
                .map(|cells| {
                    let cells = cells
                        .into_iter()
                        .enumerate()
                        .map(|(at, cell)| {
                            let name = columns.get(at).cloned().unwrap_or_default();
                            view! { <td data-name=name>{cell}</td> }
                        })
                        .collect_view();
                    view! { <tr>{cells}</tr> }
                })
                .collect_view();
            view! {
                <div class="card">
                    <div class="card-head">
                        <h3>{title}</h3>
                    </div>
                    {if empty {
                        view! { <p class="answer muted">{none}</p> }.into_any()
                    } else {
                        view! {
                            <div class="table-wrap" tabindex="0" role="region" aria-label=label>
                                <table class="table">
                                    <thead>
                                        <tr>{head}</tr>
                                    </thead>
                                    <tbody>{body}</tbody>
                                </table>
                            </div>
                        }
                            .into_any()
                    }}
                </div>
            }
            .into_any()
        }
    }
}
