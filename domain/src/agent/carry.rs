//! Carrying a plan out, step by step.
//!
//! Reading steps may be done again after a restart. A step that changes the
//! world ([`POST`]) is written as begun before anything is sent; found begun
//! after a restart, its end is unknown and it is never begun again.

use std::collections::HashMap;

use super::consent;
use super::planner::{Day, Plan};
use super::runs::{Answer, Run, RunState, Step, StepState, WaitKind, WaitingFor};
use super::tools::{self, Refused, provider_name};
use crate::Engine;
use crate::approval::{self, Ask, AskError, PersonHint};
use crate::keyring;
use crate::oauth::{Code, OauthError};
use crate::secret::Secret;
use crate::storage;
use crate::vault;
use crate::vault::proxy::{self, ProxyAnswer, ProxyRequest};

/// How long a holder keeps a run without a sign of life, in milliseconds:
/// longer than any one outward call.
pub(super) const LEASE_MS: i64 = 3 * 60 * 1000;

/// The tool that posts.
pub(super) const POST: &str = "slack.post";
/// The tool that asks for an approval.
const APPROVAL: &str = "approval";

/// Seconds that the person has to decide.
const DECIDE_WITHIN_S: i64 = 15 * 60;

/// Why carrying out stops, for now or for good.
pub(super) enum Stop {
    /// The person has to do something first.
    Wait(WaitingFor),
    /// It is over.
    End(RunState, Answer),
    /// The run is over or another instance has it.
    Lost,
    /// Something of ours failed; try again later.
    Trouble(String),
}

impl From<storage::Error> for Stop {
    fn from(error: storage::Error) -> Self {
        Self::Trouble(error.to_string())
    }
}

impl From<keyring::Error> for Stop {
    fn from(error: keyring::Error) -> Self {
        Self::Trouble(error.to_string())
    }
}

impl From<consent::Error> for Stop {
    fn from(error: consent::Error) -> Self {
        Self::Trouble(error.to_string())
    }
}

fn failed(words: impl Into<String>) -> Stop {
    Stop::End(RunState::Failed, Answer::text(words))
}

/// One run in somebody's hands.
pub(super) struct Carrier<'a> {
    engine: &'a Engine,
    run: &'a Run,
    holder: &'a str,
    token: Option<Secret<String>>,
}

impl<'a> Carrier<'a> {
    pub(super) const fn new(engine: &'a Engine, run: &'a Run, holder: &'a str) -> Self {
        Self {
            engine,
            run,
            holder,
            token: None,
        }
    }

    /// Carries the plan out until it waits or ends.
    pub(super) async fn carry(&mut self) -> Stop {
        let run = self.run;
        let done = match &run.plan {
            Plan::ListChannels {} => self.list_channels().await,
            Plan::ShowMessages { channel } => self.show_messages(channel).await,
            Plan::PostMessage { channel, text } => self.post(channel, text).await,
            Plan::ShowCalendar { day } => self.show_calendar(*day).await,
            Plan::ListMails {} => self.list_mails().await,
            Plan::ListOpportunities {} => self.list_opportunities().await,
            Plan::Deploy { service, version } => self.deploy(service, version).await,
        };
        match done {
            Ok(answer) => Stop::End(RunState::Done, answer),
            Err(stop) => stop,
        }
    }

    async fn list_channels(&mut self) -> Result<Answer, Stop> {
        let step = (0, "slack.channels", "Ask Slack for its channels");
        self.read(step, tools::list_channels(), tools::channels)
            .await
    }

    async fn show_messages(&mut self, channel: &str) -> Result<Answer, Stop> {
        let find = format!("Find #{channel} among Slack’s channels");
        let id = self
            .read(
                (0, "slack.channels", &find),
                tools::list_channels(),
                |answer| tools::channel_id(answer, channel),
            )
            .await?;
        let words = format!("Read the last messages in #{channel}");
        let step = (1, "slack.messages", words.as_str());
        let messages = self
            .read(step, tools::last_messages(&id), tools::messages)
            .await?;
        let mut names = HashMap::new();
        for message in &messages {
            let user = &message.user;
            if names.len() < 5 && user.starts_with(['U', 'W']) && !names.contains_key(user) {
                let position = 2 + i64::try_from(names.len()).unwrap_or(0);
                let step = (position, "slack.person", "Look up who wrote");
                let request = tools::user_info(user);
                let name = self
                    .read(step, request, |answer| Ok(tools::user_name(answer, user)))
                    .await?;
                names.insert(user.clone(), name);
            }
        }
        Ok(tools::messages_table(channel, messages, &names))
    }

    async fn show_calendar(&mut self, day: Day) -> Result<Answer, Stop> {
        let now = self.engine.now();
        let request = tools::events(now).map_err(|refused| failed(refused.0))?;
        let step = (0, "google.calendar", "Ask Google for your events");
        self.read(step, request, |answer| tools::day(answer, day, now))
            .await
    }

    async fn list_mails(&mut self) -> Result<Answer, Stop> {
        let step = (0, "google.mails", "Ask Google for your latest mails");
        let ids = self
            .read(step, tools::list_mails(), tools::mail_ids)
            .await?;
        let mut rows = Vec::new();
        for (position, id) in (1..).zip(&ids) {
            let step = (
                position,
                "google.mail",
                "Read sender, subject and date of one",
            );
            rows.push(self.read(step, tools::one_mail(id), tools::mail).await?);
        }
        Ok(tools::mails(rows))
    }

    async fn list_opportunities(&mut self) -> Result<Answer, Stop> {
        let step = (
            0,
            "salesforce.opportunities",
            "Ask Salesforce for your open opportunities",
        );
        self.read(step, tools::list_opportunities(), tools::opportunities)
            .await
    }

    async fn post(&mut self, channel: &str, text: &str) -> Result<Answer, Stop> {
        if let Some(step) = self.step(1) {
            // Begun before a restart: whether it was sent is not known.
            if step.state == StepState::Running {
                return Err(self.lost_post(channel).await?);
            }
        }
        let message = format!("Post to #{}", channel.chars().take(50).collect::<String>());
        let words = format!("Ask you to approve: {message}");
        let token = self
            .approved(
                &words,
                message,
                tools::message_details(channel, text),
                "Nothing was posted.",
            )
            .await?;
        let words = format!("Post the approved message to #{channel}");
        self.begin((1, POST, &words)).await?;
        let request = tools::post_message(channel, text);
        let sent = proxy::call(self.engine, token.expose(), request).await;
        match sent {
            Ok(answer) if answer.status.is_server_error() => Err(self.lost_post(channel).await?),
            Ok(answer) => match tools::posted(&answer) {
                Ok(()) => {
                    self.end(1, StepState::Done, "Slack accepted it.").await?;
                    Ok(Answer::text(format!("Posted to #{channel}.")))
                }
                Err(Refused(why)) => {
                    self.end(1, StepState::Failed, &why).await?;
                    Err(failed(format!("{why} Nothing was posted.")))
                }
            },
            Err(proxy::Error::Unknown | proxy::Error::TooLarge(_)) => {
                Err(self.lost_post(channel).await?)
            }
            Err(error) => {
                let stop = self.stopped_by(error);
                let words = match &stop {
                    Stop::Wait(waiting) => format!("{} is needed first.", waiting.words),
                    Stop::End(_, Answer::Text { text }) => text.clone(),
                    _ => "It could not be sent.".to_owned(),
                };
                self.end(1, StepState::Failed, &words).await?;
                Err(failed(format!(
                    "{words} Nothing was posted. The approval is used up; start again to be asked again."
                )))
            }
        }
    }

    async fn lost_post(&self, channel: &str) -> Result<Stop, Stop> {
        self.end(1, StepState::Unknown, "The answer was lost.")
            .await?;
        Ok(failed(format!(
            "Slack’s answer was lost: whether the message was posted is not known. It will not be sent again. Look in #{channel}."
        )))
    }

    async fn deploy(&mut self, service: &str, version: &str) -> Result<Answer, Stop> {
        let short: String = format!("Deploy {service} {version}")
            .chars()
            .take(60)
            .collect();
        let words = format!("Ask you to approve: {short}");
        let details =
            serde_json::json!([{"type": "deployment", "service": service, "version": version}]);
        self.approved(&words, short, details, "Nothing was deployed.")
            .await?;
        Ok(Answer::text(format!(
            "You approved deploying {service} {version}. This is a demonstration: nothing was deployed."
        )))
    }

    /// Asks for an approval as step 0, waits for it, and redeems it once: the
    /// token that comes of it. `nothing` says what did not happen otherwise.
    async fn approved(
        &mut self,
        words: &str,
        binding_message: String,
        details: serde_json::Value,
        nothing: &str,
    ) -> Result<Secret<String>, Stop> {
        // Without consent there is nowhere to keep the request, and no right to ask.
        self.token().await?;
        let held = consent::held(self.engine, &self.run.person_id)
            .await?
            .ok_or_else(|| self.consent_needed())?;
        let place = format!("request\0{}\0{}", self.run.id, 0);
        let kept = self
            .engine
            .store
            .reader()
            .await?
            .request_of(&self.run.id, 0)
            .await?;
        let Some(sealed) = kept else {
            self.begin((0, APPROVAL, words)).await?;
            let asked = self.ask(binding_message.clone(), details).await?;
            let sealed = held.seal(
                self.engine,
                &self.run.person_id,
                &place,
                asked.auth_req_id.expose(),
            )?;
            self.keep_request(asked.approval_id.clone(), sealed, &binding_message)
                .await?;
            return Err(wait_for(&asked.approval_id));
        };
        let auth_req_id = held.open(&self.run.person_id, &place, &sealed)?;
        let answer = consent::token_request(
            self.engine,
            &[
                ("grant_type", "urn:openid:params:grant-type:ciba"),
                ("auth_req_id", auth_req_id.expose()),
            ],
        )
        .await;
        match answer {
            Ok(answer) => {
                self.end(0, StepState::Done, "You approved.").await?;
                Ok(answer.access_token)
            }
            Err(error) => Err(self.not_approved(error, nothing).await?),
        }
    }

    async fn not_approved(&self, error: OauthError, nothing: &str) -> Result<Stop, Stop> {
        let (state, said) = match error.code {
            Code::AuthorizationPending | Code::SlowDown => {
                let approval = self.step(0).and_then(|step| step.approval_id.as_deref());
                return Ok(wait_for(approval.unwrap_or_default()));
            }
            Code::AccessDenied => {
                let reason = error.members.iter().find(|(name, _)| *name == "reason");
                match reason.map(|(_, reason)| reason.as_str()) {
                    Some("cancelled") => (RunState::Cancelled, "The request was taken back."),
                    Some("blocked") => (RunState::Failed, "This was blocked by an admin."),
                    _ => (RunState::Denied, "You denied this."),
                }
            }
            Code::ExpiredToken => (RunState::Expired, "Nobody decided in time."),
            // Redeemed before, and the token was lost with the process. The post
            // was not begun, or its step would stand there.
            Code::InvalidGrant => (
                RunState::Failed,
                "The approval was used, but the program stopped before it could act.",
            ),
            _ => return Ok(Stop::Trouble(error.to_string())),
        };
        self.end(0, StepState::Failed, said).await?;
        Ok(Stop::End(state, Answer::text(format!("{said} {nothing}"))))
    }

    async fn ask(
        &self,
        binding_message: String,
        details: serde_json::Value,
    ) -> Result<approval::Asked, Stop> {
        let client = consent::register(self.engine).await?;
        let ask = Ask {
            person: PersonHint::Id(self.run.person_id.clone()),
            scopes: vec!["openid".to_owned()],
            audience: None,
            binding_message: Some(binding_message),
            details: Some(details),
            requested_expiry_s: Some(DECIDE_WITHIN_S),
            run_id: Some(self.run.id.clone()),
        };
        let connection = tools::connection(&self.run.plan).unwrap_or_default();
        approval::ask(self.engine, &client, ask)
            .await
            .map_err(|error| match error {
                AskError::AccountRequired { .. } => self.account_needed(connection, false),
                AskError::ReconnectRequired { .. } => self.account_needed(connection, true),
                AskError::PermissionRequired { .. } => self.permission_needed(connection),
                AskError::UnknownUser => self.consent_needed(),
                AskError::Storage(error) => error.into(),
                other => failed(format!("This cannot be asked for: {other}.")),
            })
    }

    // Steps ---------------------------------------------------------------------

    /// One step that only reads: begun, sent, understood, ended.
    async fn read<T>(
        &mut self,
        step: (i64, &str, &str),
        request: ProxyRequest,
        understand: impl FnOnce(&ProxyAnswer) -> Result<T, Refused>,
    ) -> Result<T, Stop> {
        self.begin(step).await?;
        let token = self.token().await?;
        let answer = match proxy::call(self.engine, token.expose(), request).await {
            Ok(answer) => answer,
            Err(error) => {
                let stop = self.stopped_by(error);
                if let Stop::End(_, Answer::Text { text }) = &stop {
                    self.end(step.0, StepState::Failed, text).await?;
                }
                return Err(stop);
            }
        };
        match understand(&answer) {
            Ok(read) => {
                self.end(step.0, StepState::Done, "Answered.").await?;
                Ok(read)
            }
            Err(Refused(why)) => {
                self.end(step.0, StepState::Failed, &why).await?;
                Err(failed(why))
            }
        }
    }

    fn step(&self, position: i64) -> Option<&Step> {
        self.run.steps.iter().find(|step| step.position == position)
    }

    async fn begin(&self, step: (i64, &str, &str)) -> Result<(), Stop> {
        let (position, tool, words) = (step.0, step.1.to_owned(), step.2.to_owned());
        let run = self.run.clone();
        let holder = self.holder.to_owned();
        let mine = self
            .engine
            .store
            .write(move |tx| {
                let (run, holder) = (run.clone(), holder.clone());
                let (tool, words) = (tool.clone(), words.clone());
                Box::pin(async move {
                    let until = tx.now() + LEASE_MS;
                    tx.begin_step(&run, &holder, until, (position, &tool, &words))
                        .await
                })
            })
            .await?;
        if mine { Ok(()) } else { Err(Stop::Lost) }
    }

    async fn end(&self, position: i64, state: StepState, output: &str) -> Result<(), Stop> {
        let (run, output) = (self.run.clone(), output.to_owned());
        let holder = self.holder.to_owned();
        let mine = self
            .engine
            .store
            .write(move |tx| {
                let (run, holder, output) = (run.clone(), holder.clone(), output.clone());
                Box::pin(async move {
                    tx.end_step(&run, &holder, position, state, Some(&output))
                        .await
                })
            })
            .await?;
        if mine { Ok(()) } else { Err(Stop::Lost) }
    }

    async fn keep_request(
        &self,
        approval_id: String,
        sealed: Vec<u8>,
        binding_message: &str,
    ) -> Result<(), Stop> {
        let run = self.run.clone();
        let words = format!("The request must say “{binding_message}”.");
        let holder = self.holder.to_owned();
        let mine = self
            .engine
            .store
            .write(move |tx| {
                let (run, approval_id) = (run.clone(), approval_id.clone());
                let (sealed, words) = (sealed.clone(), words.clone());
                let holder = holder.clone();
                Box::pin(async move {
                    tx.keep_request(&run.id, 0, &approval_id, sealed).await?;
                    tx.end_step(&run, &holder, 0, StepState::Waiting, Some(&words))
                        .await
                })
            })
            .await?;
        if mine { Ok(()) } else { Err(Stop::Lost) }
    }

    // What is missing ------------------------------------------------------------

    async fn token(&mut self) -> Result<Secret<String>, Stop> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let token = consent::access_token(self.engine, &self.run.person_id)
            .await?
            .ok_or_else(|| self.consent_needed())?;
        self.token = Some(token.clone());
        Ok(token)
    }

    fn waiting(&self, kind: WaitKind, link: String, words: String) -> Stop {
        Stop::Wait(WaitingFor { kind, link, words })
    }

    fn consent_needed(&self) -> Stop {
        let link = format!("/agent/allow?run={}", self.run.id);
        self.waiting(WaitKind::Consent, link, "Allow the agent".to_owned())
    }

    fn permission_needed(&self, connection: &str) -> Stop {
        let link = format!("/agent/allow?run={}", self.run.id);
        let words = format!("Allow the agent to use {}", provider_name(connection));
        self.waiting(WaitKind::Permission, link, words)
    }

    fn account_needed(&self, connection: &str, again: bool) -> Stop {
        let link = format!(
            "/accounts/link/{connection}?client={}&run={}",
            consent::CLIENT_ID,
            self.run.id
        );
        let name = provider_name(connection);
        let words = if again {
            format!("Link {name} again")
        } else {
            format!("Link {name}")
        };
        self.waiting(WaitKind::Account, link, words)
    }

    fn stopped_by(&self, error: proxy::Error) -> Stop {
        use vault::Error as Vault;
        match error {
            proxy::Error::Token(_) => self.consent_needed(),
            proxy::Error::Vault(Vault::NoAccount { connection, .. }) => {
                self.account_needed(&connection, false)
            }
            proxy::Error::Vault(Vault::Reconnect { connection, .. }) => {
                self.account_needed(&connection, true)
            }
            proxy::Error::Vault(Vault::PermissionRequired { connection, .. }) => {
                self.permission_needed(&connection)
            }
            proxy::Error::Vault(Vault::ProviderDown { connection, .. }) => failed(format!(
                "{} does not answer at the moment. Try again later.",
                provider_name(&connection)
            )),
            proxy::Error::Vault(Vault::Storage(error)) => error.into(),
            other => failed(format!("The call was not made: {other}.")),
        }
    }
}

fn wait_for(approval_id: &str) -> Stop {
    Stop::Wait(WaitingFor {
        kind: WaitKind::Approval,
        link: format!("/approve/{approval_id}"),
        words: "Review and decide".to_owned(),
    })
}
