//! Runs of the embedded agent.

use leptos::prelude::*;
use leptos::server_fn::ServerFnError;
use serde::{Deserialize, Serialize};

use super::{Stamp, Status};

/// One line of a list of runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunRow {
    /// The run's page.
    pub href: String,
    /// What was typed.
    pub prompt: String,
    /// Where it stands.
    pub status: Status,
    /// When it began.
    pub begun: Stamp,
}

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What and why, as a sentence.
    pub words: String,
    /// Where the person does it.
    pub href: String,
    /// The words on the link.
    pub label: String,
}

/// One tool call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StepRow {
    /// Which one, from 0.
    pub position: i64,
    /// What it does, as a sentence.
    pub title: String,
    /// Where it stands.
    pub status: Status,
    /// What came of it, or why it failed.
    pub text: Option<String>,
    /// When it began.
    pub begun: Stamp,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A sentence.
    Text(String),
    /// Rows under a sentence.
    Table {
        /// The sentence.
        title: String,
        /// Names of the columns.
        columns: Vec<String>,
        /// One list of cells a row.
        rows: Vec<Vec<String>>,
    },
}

/// A run with everything its page shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// Its id.
    pub id: String,
    /// What was typed.
    pub prompt: String,
    /// Where it stands.
    pub status: Status,
    /// What it waits for.
    pub waiting: Option<Waiting>,
    /// Its steps, the first first.
    pub steps: Vec<StepRow>,
    /// What it found.
    pub answer: Option<Answer>,
    /// Whether it is over.
    pub over: bool,
    /// When it began.
    pub begun: Stamp,
}

/// What came of a wish to start a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Started {
    /// It runs; this is its page.
    Run(String),
    /// It was not understood; this is what to say.
    NotUnderstood(String),
}

/// Starts a run of the embedded agent for the person who asks.
///
/// # Errors
/// When nobody is signed in, or the database fails.
#[server(prefix = "/api", endpoint = "runs/start")]
pub async fn start_run(
    /// What the agent is to do, one sentence.
    prompt: String,
) -> Result<Started, ServerFnError> {
    let seen = super::seen().map_err(super::server_error)?;
    ssr::start(&seen, prompt).await.map_err(super::server_error)
}

/// Stops a run. One that is over stays as it is.
///
/// # Errors
/// When nobody is signed in, there is no such run of theirs, or the database fails.
#[server(prefix = "/api", endpoint = "runs/cancel")]
pub async fn cancel_run(
    /// The run's id.
    id: String,
) -> Result<RunView, ServerFnError> {
    let seen = super::seen().map_err(super::server_error)?;
    ssr::cancel(&seen, &id).await.map_err(super::server_error)
}

/// A run as it stands now.
///
/// # Errors
/// When nobody is signed in, there is no such run of theirs, or the database fails.
#[server(prefix = "/api", endpoint = "runs/state")]
pub async fn run_state(
    /// The run's id.
    id: String,
) -> Result<RunView, ServerFnError> {
    let seen = super::seen().map_err(super::server_error)?;
    ssr::view(&seen, &id).await.map_err(super::server_error)
}

#[cfg(feature = "ssr")]
pub(crate) mod ssr {
    use domain::agent::planner;
    use domain::agent::runs::{self, Run, RunState, Step, StepState};

    use super::super::{Problem, Seen, Status, Tone, stamp};
    use super::{Answer, RunRow, RunView, Started, StepRow, Waiting};
    use crate::words::{t, tv};

    /// How many runs the agent's page lists.
    const PAGE: i64 = 20;

    pub async fn start(seen: &Seen, prompt: String) -> Result<Started, Problem> {
        match runs::start(&seen.engine, &seen.viewer.person_id, &prompt).await {
            Ok(run) => Ok(Started::Run(format!("/agent/runs/{}", run.id))),
            Err(runs::Error::NotUnderstood(_)) => {
                Ok(Started::NotUnderstood(t("agent-not-understood")))
            }
            Err(runs::Error::Length) => Ok(Started::NotUnderstood(t("agent-empty-prompt"))),
            Err(other) => Err(other.into()),
        }
    }

    pub async fn cancel(seen: &Seen, id: &str) -> Result<RunView, Problem> {
        match runs::cancel(&seen.engine, &seen.viewer.person_id, id).await {
            Err(runs::Error::NotFound) => return Err(Problem::NotFound),
            other => other?,
        };
        view(seen, id).await
    }

    pub async fn view(seen: &Seen, id: &str) -> Result<RunView, Problem> {
        let run = runs::get(&seen.engine, &seen.viewer.person_id, id)
            .await?
            .ok_or(Problem::NotFound)?;
        Ok(show(&run, seen.engine.now()))
    }

    pub async fn recent(seen: &Seen) -> Result<Vec<RunRow>, Problem> {
        let now = seen.engine.now();
        let runs = runs::list(&seen.engine, &seen.viewer.person_id, PAGE).await?;
        Ok(runs
            .into_iter()
            .map(|run| RunRow {
                href: format!("/agent/runs/{}", run.id),
                status: status(run.state),
                begun: stamp(now, run.created_at),
                prompt: run.prompt,
            })
            .collect())
    }

    /// The sentences the planner knows.
    pub fn examples() -> Vec<String> {
        planner::EXAMPLES
            .iter()
            .map(|&one| one.to_owned())
            .collect()
    }

    pub fn show(run: &Run, now: i64) -> RunView {
        RunView {
            id: run.id.clone(),
            prompt: run.prompt.clone(),
            status: status(run.state),
            waiting: run.waiting_for.as_ref().map(|waiting| Waiting {
                words: waits(run.state),
                href: waiting.link.clone(),
                label: waiting.words.clone(),
            }),
            steps: run.steps.iter().map(|step| row(step, now)).collect(),
            answer: run.answer.as_ref().map(answer),
            over: run.state.is_over(),
            begun: stamp(now, run.created_at),
        }
    }

    fn answer(answer: &runs::Answer) -> Answer {
        match answer {
            runs::Answer::Text { text } => Answer::Text(text.clone()),
            runs::Answer::Table {
                title,
                columns,
                rows,
            } => Answer::Table {
                title: title.clone(),
                columns: columns.clone(),
                rows: rows.clone(),
            },
        }
    }

    fn row(step: &Step, now: i64) -> StepRow {
        let status = match step.state {
            StepState::Running => Status::new(Tone::Moving, t("step-running")),
            StepState::Waiting => Status::new(Tone::Wait, t("step-waiting")),
            StepState::Done => Status::new(Tone::Good, t("step-done")),
            StepState::Failed => Status::new(Tone::Bad, t("step-failed")),
            StepState::Unknown => Status::new(Tone::Bad, t("step-unknown")),
        };
        StepRow {
            position: step.position,
            title: step.words.clone(),
            status,
            text: step.output.clone(),
            begun: stamp(now, step.started_at),
        }
    }

    fn waits(state: RunState) -> String {
        match state {
            RunState::WaitingConsent => t("run-waits-consent"),
            RunState::WaitingAccount => t("run-waits-account"),
            RunState::WaitingPermission => t("run-waits-permission"),
            RunState::WaitingApproval => t("run-waits-approval"),
            other => tv("run-waits-other", &[("state", other.word())]),
        }
    }

    fn status(state: RunState) -> Status {
        match state {
            RunState::Running => Status::new(Tone::Moving, t("run-running")),
            RunState::WaitingConsent | RunState::WaitingAccount | RunState::WaitingPermission => {
                Status::new(Tone::Wait, t("run-waiting"))
            }
            RunState::WaitingApproval => Status::new(Tone::Wait, t("run-waiting-approval")),
            RunState::Done => Status::new(Tone::Good, t("run-done")),
            RunState::Denied => Status::new(Tone::No, t("run-denied")),
            RunState::Expired => Status::new(Tone::Quiet, t("run-expired")),
            RunState::Failed => Status::new(Tone::Bad, t("run-failed")),
            RunState::Cancelled => Status::new(Tone::Quiet, t("run-cancelled")),
        }
    }
}
