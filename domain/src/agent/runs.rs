//! Runs: one task each, kept until it ends.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::planner::{self, NotUnderstood, Plan};
use crate::Engine;
use crate::approval;
use crate::audit::{Event, Kind};
use crate::storage;

/// The longest sentence, in characters.
pub const MOST_PROMPT: usize = 5_000;
/// The signal that a run was started; "run" is said of every change of one.
pub(super) const STARTED: &str = "run_started";

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Under way, or about to be.
    Running,
    /// The person has not yet let the agent act at all.
    WaitingConsent,
    /// An account must be linked, or linked again.
    WaitingAccount,
    /// The person has not yet let the agent use the account.
    WaitingPermission,
    /// The person has not decided yet.
    WaitingApproval,
    /// Ended with an answer.
    Done,
    /// The person denied it.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// It could not be done; the answer says why.
    Failed,
    /// Stopped by the person.
    Cancelled,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Running,
        Self::WaitingConsent,
        Self::WaitingAccount,
        Self::WaitingPermission,
        Self::WaitingApproval,
        Self::Done,
        Self::Denied,
        Self::Expired,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word in rows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::WaitingConsent => "waiting_consent",
            Self::WaitingAccount => "waiting_account",
            Self::WaitingPermission => "waiting_permission",
            Self::WaitingApproval => "waiting_approval",
            Self::Done => "done",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing happens to it any more.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(
            self,
            Self::Done | Self::Denied | Self::Expired | Self::Failed | Self::Cancelled
        )
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

impl FromStr for RunState {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|state| state.word() == word)
            .ok_or(())
    }
}

/// What kind of thing a run waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// The person's consent to the agent.
    Consent,
    /// An account to be linked.
    Account,
    /// A permission on an account.
    Permission,
    /// A decision.
    Approval,
}

impl WaitKind {
    /// The state of a run that waits for it.
    #[must_use]
    pub const fn state(self) -> RunState {
        match self {
            Self::Consent => RunState::WaitingConsent,
            Self::Account => RunState::WaitingAccount,
            Self::Permission => RunState::WaitingPermission,
            Self::Approval => RunState::WaitingApproval,
        }
    }
}

/// What a run waits for, and where the person gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitingFor {
    /// What kind of thing.
    pub kind: WaitKind,
    /// The path to go to, for example `/approve/apr_…`.
    pub link: String,
    /// The words on that link, for example `Link Slack`.
    pub words: String,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// A sentence.
    Text {
        /// It.
        text: String,
    },
    /// Rows under a sentence.
    Table {
        /// The sentence.
        title: String,
        /// Names of the columns.
        columns: Vec<String>,
        /// One list of cells a row, as long as `columns`.
        rows: Vec<Vec<String>>,
    },
}

impl Answer {
    /// A sentence.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Begun.
    Running,
    /// Waits for the person.
    Waiting,
    /// Ended well.
    Done,
    /// Ended badly.
    Failed,
    /// Begun, and its end will never be known.
    Unknown,
}

impl StepState {
    /// The word in rows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

impl FromStr for StepState {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [
            Self::Running,
            Self::Waiting,
            Self::Done,
            Self::Failed,
            Self::Unknown,
        ]
        .into_iter()
        .find(|state| state.word() == word)
        .ok_or(())
    }
}

/// One tool call of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its place, from 0.
    pub position: i64,
    /// The tool: `slack.channels`, `approval`, …
    pub tool: String,
    /// What it does, as a sentence.
    pub words: String,
    /// Where it stands.
    pub state: StepState,
    /// What came of it, as a sentence.
    pub output: Option<String>,
    /// The approval it asked for.
    pub approval_id: Option<String>,
    /// Unix milliseconds.
    pub started_at: i64,
    /// Unix milliseconds.
    pub finished_at: Option<i64>,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub person_id: String,
    /// The sentence.
    pub prompt: String,
    /// What it means.
    pub plan: Plan,
    /// Where it stands.
    pub state: RunState,
    /// What it waits for.
    pub waiting_for: Option<WaitingFor>,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// What it came to.
    pub answer: Option<Answer>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
    /// Unix milliseconds.
    pub finished_at: Option<i64>,
}

/// Why a run does not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No rule for the sentence.
    #[error(transparent)]
    NotUnderstood(#[from] NotUnderstood),
    /// The sentence is empty or longer than [`MOST_PROMPT`].
    #[error("write a sentence of at most {MOST_PROMPT} characters")]
    Length,
    /// There is no such run, or it is somebody else's.
    #[error("there is no such run here")]
    NotFound,
    /// It is over already.
    #[error("the run is over: {state}")]
    Over {
        /// How it ended.
        state: RunState,
    },
    /// What it was asked to do is under way; stopping would only hide the end.
    #[error("it is being done at this moment")]
    UnderWay,
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// Starts a run; [`super::drive`] carries it out.
///
/// # Errors
/// [`Error::NotUnderstood`], [`Error::Length`].
pub async fn start(engine: &Engine, person_id: &str, prompt: &str) -> Result<Run, Error> {
    let prompt = prompt.trim();
    if prompt.is_empty() || prompt.chars().count() > MOST_PROMPT {
        return Err(Error::Length);
    }
    let plan = planner::plan(prompt)?;
    let (person_id, prompt) = (person_id.to_owned(), prompt.to_owned());
    engine
        .store
        .write(move |tx| {
            let (person_id, prompt, plan) = (person_id.clone(), prompt.clone(), plan.clone());
            Box::pin(async move {
                let now = tx.now();
                let run = Run {
                    id: tx.new_id("run"),
                    person_id,
                    prompt,
                    plan,
                    state: RunState::Running,
                    waiting_for: None,
                    steps: Vec::new(),
                    answer: None,
                    created_at: now,
                    updated_at: now,
                    finished_at: None,
                };
                tx.insert_run(&run).await?;
                tx.record(
                    Event::new(Kind::RunStarted)
                        .person(&run.person_id)
                        .run(&run.id)
                        .private("prompt", &run.prompt),
                );
                tx.signal(Some(&run.person_id), "run", &run.id);
                tx.signal(Some(&run.person_id), STARTED, &run.id);
                Ok(run)
            })
        })
        .await
}

/// A run of this person's with its steps; `None` also for somebody else's.
///
/// # Errors
/// The database's.
pub async fn get(
    engine: &Engine,
    person_id: &str,
    id: &str,
) -> Result<Option<Run>, storage::Error> {
    let run = engine.store.reader().await?.run(id).await?;
    Ok(run.filter(|run| run.person_id == person_id))
}

/// A person's runs with their steps, the newest first; at most `limit`, at most 100.
///
/// # Errors
/// The database's.
pub async fn list(
    engine: &Engine,
    person_id: &str,
    limit: i64,
) -> Result<Vec<Run>, storage::Error> {
    let mut reader = engine.store.reader().await?;
    reader.runs_of(person_id, limit.clamp(1, 100)).await
}

/// Stops a run, and takes back the approval it asked for.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Over`], and [`Error::UnderWay`] while an
/// approved call is being made.
pub async fn cancel(engine: &Engine, person_id: &str, id: &str) -> Result<Run, Error> {
    let (person, run_id) = (person_id.to_owned(), id.to_owned());
    let stopped = engine
        .store
        .write(move |tx| {
            let (person, id) = (person.clone(), run_id.clone());
            Box::pin(async move {
                let run = tx
                    .run(&id)
                    .await?
                    .filter(|run| run.person_id == person)
                    .ok_or(Error::NotFound)?;
                let sending = |step: &Step| {
                    step.tool == super::carry::POST && step.state == StepState::Running
                };
                if run.steps.iter().any(sending) {
                    return Err(Error::UnderWay);
                }
                let answer = Answer::text("You stopped this.");
                tx.end_run(&id, None, RunState::Cancelled, &answer)
                    .await?
                    .ok_or(Error::Over { state: run.state })?;
                Ok(run)
            })
        })
        .await?;
    for approval in stopped
        .steps
        .iter()
        .filter_map(|step| step.approval_id.as_deref())
    {
        // Decided or expired in the meantime: then there is nothing to take back.
        let taken_back = approval::cancel(engine, super::consent::CLIENT_ID, approval).await;
        if let Err(approval::DecideError::Storage(error)) = taken_back {
            return Err(error.into());
        }
    }
    get(engine, person_id, id).await?.ok_or(Error::NotFound)
}
