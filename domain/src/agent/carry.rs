//! Carrying a plan out, step by step.
//!
//! Reading steps may be done again after a restart. A step that changes the
//! world ([`POST`]) is written as begun before anything is sent; found begun
//! after a restart, its end is unknown and it is never begun again.

use std::collections::HashMap;

use super::consent;
use super::planner::{Day, Plan};
use super::runs::{Answer, Run, RunState, StepState, WaitKind, WaitingFor};
use super::tools::{self, Refused};
use crate::Engine;
use crate::approval::{self, Ask, AskError, PersonHint};
use crate::keyring;
use crate::oauth::{Code, OauthError, RequestHead};
use crate::secret::Secret;
use crate::storage;
use crate::vault::proxy;

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

pub(super) fn failed(words: impl Into<String>) -> Stop {
    Stop::End(RunState::Failed, Answer::text(words))
}

/// One run in somebody's hands.
pub(super) struct Carrier<'a> {
    pub(super) engine: &'a Engine,
    pub(super) run: &'a Run,
    pub(super) holder: &'a str,
    pub(super) token: Option<Secret<String>>,
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
                (0, APPROVAL, &words),
                message,
                tools::message_details(channel, text),
                "Nothing was posted.",
            )
            .await?;
        let words = format!("Post the approved message to #{channel}");
        self.begin((1, POST, &words)).await?;
        let request = tools::post_message(channel, text);
        let sent = proxy::call(self.engine, &RequestHead::bearer(token.expose()), request).await;
        match sent {
            Ok(answer) if answer.status.is_server_error() || tools::unsure(&answer) => {
                Err(self.lost_post(channel).await?)
            }
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
        let step = (0, APPROVAL, words.as_str());
        self.approved(step, short, details, "Nothing was deployed.")
            .await?;
        Ok(Answer::text(format!(
            "You approved deploying {service} {version}. This is a demonstration: nothing was deployed."
        )))
    }

    /// Asks for an approval as this step, waits for it, and redeems it once: the
    /// token that comes of it. `nothing` says what did not happen otherwise.
    pub(super) async fn approved(
        &mut self,
        step: (i64, &str, &str),
        binding_message: String,
        details: serde_json::Value,
        nothing: &str,
    ) -> Result<Secret<String>, Stop> {
        let position = step.0;
        // Without consent there is nowhere to keep the request.
        let held = consent::held(self.engine, &self.run.person_id)
            .await?
            .ok_or_else(|| self.consent_needed())?;
        let place = format!("request\0{}\0{position}", self.run.id);
        let Some(sealed) = self.request_at(position).await? else {
            // A consent that was taken back gives no right to ask.
            self.token().await?;
            self.begin(step).await?;
            let mut words = format!("The request must say “{binding_message}”.");
            let asked = self.ask(binding_message, details).await?;
            if let Some(number) = &asked.matching_number {
                words.push_str(&format!(" Type the number {number} there."));
            }
            let sealed = held.seal(
                self.engine,
                &self.run.person_id,
                &place,
                asked.auth_req_id.expose(),
            )?;
            self.keep_request(position, asked.approval_id.clone(), sealed, words)
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
                self.end(position, StepState::Done, "You approved.").await?;
                Ok(answer.access_token)
            }
            Err(error) => Err(self.not_approved(position, error, nothing).await?),
        }
    }

    async fn not_approved(
        &self,
        position: i64,
        error: OauthError,
        nothing: &str,
    ) -> Result<Stop, Stop> {
        let (state, said) = match error.code {
            Code::AuthorizationPending | Code::SlowDown => {
                let approval = self
                    .step(position)
                    .and_then(|step| step.approval_id.as_deref());
                return Ok(wait_for(approval.unwrap_or_default()));
            }
            Code::AccessDenied => {
                let reason = error.members.iter().find(|(name, _)| *name == "reason");
                match reason.map(|(_, reason)| reason.as_str()) {
                    Some("cancelled") => (RunState::Cancelled, "The request was taken back."),
                    Some("blocked") => (RunState::Failed, "This was blocked by an admin."),
                    Some("unsigned") => (
                        RunState::Failed,
                        "The device that approved this was removed, so the approval no longer counts.",
                    ),
                    Some("wrong_number") => (
                        RunState::Denied,
                        "Wrong numbers were typed, so this was denied.",
                    ),
                    _ => (RunState::Denied, "You denied this."),
                }
            }
            Code::ExpiredToken if is_reason(&error, "not_enrolled") => (
                RunState::Expired,
                "Approving this takes a device of yours, and none is set up.",
            ),
            Code::ExpiredToken => (RunState::Expired, "Nobody decided in time."),
            // Redeemed before, and the token was lost with the process. The post
            // was not begun, or its step would stand there.
            Code::InvalidGrant => (
                RunState::Failed,
                "The approval was used, but the program stopped before it could act.",
            ),
            _ => return Ok(Stop::Trouble(error.to_string())),
        };
        self.end(position, StepState::Failed, said).await?;
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
}

fn is_reason(error: &OauthError, reason: &str) -> bool {
    error
        .members
        .iter()
        .any(|(name, word)| *name == "reason" && word == reason)
}

fn wait_for(approval_id: &str) -> Stop {
    Stop::Wait(WaitingFor {
        kind: WaitKind::Approval,
        link: format!("/approve/{approval_id}"),
        words: "Review and decide".to_owned(),
    })
}
