//! How one step is taken: begun in the row, sent, understood, ended; and what
//! is missing when it cannot be.

use super::carry::{Carrier, LEASE_MS, Stop, failed};
use super::consent;
use super::runs::{Answer, Step, StepState, WaitKind, WaitingFor};
use super::tools::{Refused, provider_name};
use crate::oauth::RequestHead;
use crate::secret::Secret;
use crate::vault;
use crate::vault::proxy::{self, ProxyAnswer, ProxyRequest};

impl Carrier<'_> {
    /// One step that only reads: begun, sent, understood, ended.
    pub(super) async fn read<T>(
        &mut self,
        step: (i64, &str, &str),
        request: ProxyRequest,
        understand: impl FnOnce(&ProxyAnswer) -> Result<T, Refused>,
    ) -> Result<T, Stop> {
        self.begin(step).await?;
        let answer = match self.send(step, request).await? {
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

    /// Sends what a step reads with, and asks for an approval first where a
    /// policy says that this call needs one.
    async fn send(
        &mut self,
        step: (i64, &str, &str),
        request: ProxyRequest,
    ) -> Result<Result<ProxyAnswer, proxy::Error>, Stop> {
        let asked_before = self.request_at(step.0).await?.is_some();
        // A run that waits reads again what it read before it waited, and an
        // approval is good for one call.
        let read_before = self.step(step.0).map(|step| step.state) == Some(StepState::Done);
        if asked_before && read_before {
            return Err(failed(
                "This takes more than one approval, one after the other, and I cannot do that.",
            ));
        }
        let mut details = serde_json::Value::Null;
        if !asked_before {
            let token = self.token().await?;
            let head = RequestHead::bearer(token.expose());
            match proxy::call(self.engine, &head, request.clone()).await {
                Err(proxy::Error::ApprovalRequired {
                    details: Some(wanted),
                    ..
                }) => details = wanted,
                sent => return Ok(sent),
            }
        }
        let message: String = step.2.chars().take(60).collect();
        let token = self
            .approved(step, message, details, "Nothing was read.")
            .await?;
        self.begin(step).await?;
        let head = RequestHead::bearer(token.expose());
        Ok(proxy::call(self.engine, &head, request).await)
    }

    /// The request for an approval that a step made, sealed.
    pub(super) async fn request_at(&self, position: i64) -> Result<Option<Vec<u8>>, Stop> {
        let mut reader = self.engine.store.reader().await?;
        Ok(reader.request_of(&self.run.id, position).await?)
    }

    pub(super) fn step(&self, position: i64) -> Option<&Step> {
        self.run.steps.iter().find(|step| step.position == position)
    }

    pub(super) async fn begin(&self, step: (i64, &str, &str)) -> Result<(), Stop> {
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

    pub(super) async fn end(
        &self,
        position: i64,
        state: StepState,
        output: &str,
    ) -> Result<(), Stop> {
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

    pub(super) async fn keep_request(
        &self,
        position: i64,
        approval_id: String,
        sealed: Vec<u8>,
        words: String,
    ) -> Result<(), Stop> {
        let run = self.run.clone();
        let holder = self.holder.to_owned();
        let mine = self
            .engine
            .store
            .write(move |tx| {
                let (run, approval_id) = (run.clone(), approval_id.clone());
                let (sealed, words) = (sealed.clone(), words.clone());
                let holder = holder.clone();
                Box::pin(async move {
                    tx.keep_request(&run.id, position, &approval_id, sealed)
                        .await?;
                    tx.end_step(&run, &holder, position, StepState::Waiting, Some(&words))
                        .await
                })
            })
            .await?;
        if mine { Ok(()) } else { Err(Stop::Lost) }
    }

    pub(super) async fn token(&mut self) -> Result<Secret<String>, Stop> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let token = consent::access_token(self.engine, &self.run.person_id)
            .await?
            .ok_or_else(|| self.consent_needed())?;
        self.token = Some(token.clone());
        Ok(token)
    }

    pub(super) fn waiting(&self, kind: WaitKind, link: String, words: String) -> Stop {
        Stop::Wait(WaitingFor { kind, link, words })
    }

    pub(super) fn consent_needed(&self) -> Stop {
        let link = format!("/agent/allow?run={}", self.run.id);
        self.waiting(WaitKind::Consent, link, "Allow the agent".to_owned())
    }

    pub(super) fn permission_needed(&self, connection: &str) -> Stop {
        let link = format!("/agent/allow?run={}", self.run.id);
        let words = format!("Allow the agent to use {}", provider_name(connection));
        self.waiting(WaitKind::Permission, link, words)
    }

    pub(super) fn account_needed(&self, connection: &str, again: bool) -> Stop {
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

    pub(super) fn stopped_by(&self, error: proxy::Error) -> Stop {
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
