//! A stage with the agent at work.

use std::ops::Deref;
use std::time::Duration;

use domain::agent::consent::{self, Returned};
use domain::agent::{self, Answer, Run, RunState, runs};
use domain::approval::{self, Channel, Decide, Decision};
use domain::oauth::{self, Params, authorize};
use domain::secret::Secret;
use domain::vault::{AccessMode, Account};
use sandbox::Provider;
use tokio::task::JoinHandle;
use url::Url;

use crate::stage::{SESSION, Stage};

/// How long a test waits for something that surely comes.
const SURELY: Duration = Duration::from_secs(60);

pub struct House {
    pub stage: Stage,
    driver: JoinHandle<()>,
}

impl Deref for House {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl House {
    pub async fn new() -> Self {
        Self::of(Stage::new().await)
    }

    pub fn of(stage: Stage) -> Self {
        let engine = stage.bench.engine.clone();
        let driver = tokio::spawn(async move {
            agent::drive(&engine, std::future::pending()).await;
        });
        Self { stage, driver }
    }

    /// The agent stops in the middle of whatever it does; the rest stays.
    pub async fn stop(self) -> Stage {
        self.driver.abort();
        let _ = self.driver.await;
        self.stage
    }

    /// As a restart of the whole program.
    pub async fn restart(self) -> Self {
        let Stage {
            bench,
            sandbox,
            control,
            ada,
        } = self.stop().await;
        Self::of(Stage {
            bench: bench.restart().await,
            sandbox,
            control,
            ada,
        })
    }

    pub async fn run(&self, sentence: &str) -> Run {
        runs::start(self, &self.ada.id, sentence).await.unwrap()
    }

    /// The run, once it is as wanted.
    pub async fn until(&self, id: &str, wanted: impl Fn(&Run) -> bool) -> Run {
        let mut signals = self.store.signals();
        let waited = tokio::time::timeout(SURELY, async {
            loop {
                let run = runs::get(self, &self.ada.id, id).await.unwrap().unwrap();
                if wanted(&run) {
                    return run;
                }
                let _ = signals.recv().await;
            }
        });
        match waited.await {
            Ok(run) => run,
            Err(_) => panic!("{:?}", runs::get(self, &self.ada.id, id).await),
        }
    }

    pub async fn until_state(&self, id: &str, state: RunState) -> Run {
        self.until(id, |run| run.state == state || run.state.is_over())
            .await
    }

    /// The person goes to `/agent/allow`, ticks these accounts and allows.
    pub async fn allow(&self, run: Option<&str>, accounts: &[&Account]) -> Option<String> {
        let url = consent::start(self, &self.ada.id, SESSION, run)
            .await
            .unwrap();
        let (state, code) = self.consented(&url, accounts).await;
        consent::finish(self, &self.ada.id, SESSION, &state, Returned::Code(code))
            .await
            .unwrap()
    }

    /// What the consent page answers.
    pub async fn consented(&self, url: &Url, accounts: &[&Account]) -> (String, Secret<String>) {
        let params = Params::form(url.query().unwrap().as_bytes()).unwrap();
        let request = authorize::check(self, &params).await.unwrap();
        let chosen = accounts
            .iter()
            .map(|account| (account.id.clone(), AccessMode::Call))
            .collect();
        let back = oauth::allow(self, &self.ada.id, self.now(), &request, chosen)
            .await
            .unwrap();
        let value = |name: &str| {
            back.query_pairs()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
                .unwrap()
        };
        (value("state"), Secret::new(value("code")))
    }

    /// An account linked and given to the agent beforehand.
    pub async fn ready(&self, provider: Provider) -> Account {
        let account = self.link(provider).await;
        let sentence = match provider {
            Provider::Slack => "list my slack channels",
            Provider::Google => "list my mails",
            Provider::Salesforce => "show my open opportunities",
        };
        let run = self.run(sentence).await;
        self.allow(Some(&run.id), &[&account]).await;
        let run = self.until(&run.id, |run| run.state.is_over()).await;
        assert_eq!(run.state, RunState::Done, "{run:?}");
        account
    }

    pub async fn decide(&self, approval_id: &str, decision: Decision) {
        let decide = Decide {
            approval_id: approval_id.to_owned(),
            person_id: self.ada.id.clone(),
            decision,
            channel: Channel::Browser,
            address: None,
            user_agent: None,
            number: None,
        };
        approval::decide(self, decide).await.unwrap();
    }

    /// How often anybody tried to post.
    pub fn posts(&self) -> usize {
        self.control
            .requests(Provider::Slack)
            .iter()
            .filter(|request| request.path.ends_with("/chat.postMessage"))
            .count()
    }
}

pub fn text(run: &Run) -> &str {
    match &run.answer {
        Some(Answer::Text { text }) => text,
        other => panic!("{other:?}"),
    }
}

pub fn rows(run: &Run) -> &[Vec<String>] {
    match &run.answer {
        Some(Answer::Table { rows, columns, .. }) => {
            assert!(rows.iter().all(|row| row.len() == columns.len()));
            rows
        }
        other => panic!("{other:?}"),
    }
}

/// The id behind `/approve/{id}`.
pub fn approval_of(run: &Run) -> String {
    let waiting = run.waiting_for.as_ref().unwrap();
    waiting.link.strip_prefix("/approve/").unwrap().to_owned()
}
