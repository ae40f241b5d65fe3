//! What becomes of an answer: stored, made current, or settled without one.

use std::sync::Arc;

use super::Flight;
use crate::audit::{Event, Kind};
use crate::secret::Secret;
use crate::storage;
use crate::vault::connections::ConnectionState;
use crate::vault::held::{Held, Kept, seal_grant};
use crate::vault::journal::{self, Answer};
use crate::vault::step::{Event as Step, Settlement};
use crate::vault::{Error, TokenKind, revocations, suspect};

/// An answer that is not stored after so long also goes on disk (milliseconds).
const NOTED_AFTER_MS: i64 = 1_000;
/// How soon an answer that could not be stored is tried again, at first and at most.
const FIRST_PAUSE_MS: i64 = 100;
const LONGEST_PAUSE_MS: i64 = 5_000;

impl Flight {
    /// Seals and stores the answer, however long the database is away.
    pub(super) async fn keep_answer(&mut self) -> Result<Step, Error> {
        let answer = self.answer.take().ok_or(Error::NotFound)?;
        let held = self.held()?;
        let tokens = answer.tokens;
        let instance = answer
            .found
            .instance_url
            .filter(|url| held.stored.endpoints.instance(url).is_ok());
        let kept = Kept {
            access: tokens.access.expose().clone(),
            refresh: tokens.refresh.as_ref().map(|token| token.expose().clone()),
            expires_at: tokens.expires_at,
            scopes: tokens.scopes.unwrap_or_else(|| held.grant.scopes.clone()),
            api_base: instance.or_else(|| held.row.api_base.clone()),
        };
        let text = Secret::new(serde_json::to_string(&kept).map_err(|_| Error::NotFound)?);
        let sealed = held
            .key
            .seal(&self.engine, &held.candidate_place(), text.expose())?;
        let parent = held.grant.refresh_hash.clone().ok_or(Error::NotFound)?;
        let answer = Answer {
            account: self.account_id.clone(),
            kind: self.kind.word().to_owned(),
            epoch: held.grant.epoch,
            parent,
            holder: self.holder.clone(),
            sealed,
        };
        if self.keep(answer).await? {
            return Ok(Step::Kept);
        }
        // Unlinked while the provider answered: its tokens must not live on there.
        let ending = revocations::Ending {
            access: Some(kept.access.clone()),
            refresh: kept.refresh.clone(),
        };
        revocations::queue(&self.engine, &held.row.account, &held.stored, &[ending]).await?;
        Ok(Step::KeptForRevocation)
    }

    /// Stores an answer, however long the database is away; meanwhile it also
    /// lies on disk. `false` when the account was unlinked.
    async fn keep(&self, answer: Answer) -> Result<bool, Error> {
        let (engine, kind) = (&self.engine, self.kind);
        let answer = Arc::new(answer);
        let (mut noted, mut pause) = (None, FIRST_PAUSE_MS);
        loop {
            let row = answer.clone();
            let attempt = engine.store.write(move |tx| {
                let row = row.clone();
                Box::pin(async move {
                    let sealed = (row.holder.as_str(), row.sealed.as_slice());
                    tx.keep_candidate(&row.account, kind, row.epoch, &row.parent, sealed)
                        .await
                })
            });
            let patience = if noted.is_some() {
                LONGEST_PAUSE_MS
            } else {
                NOTED_AFTER_MS
            };
            // What hangs may still be done: storing it twice is storing it once.
            let stored = tokio::select! {
                stored = attempt => Some(stored),
                () = engine.clock.sleep_until(engine.clock.monotonic() + patience) => None,
            };
            if let Some(Ok(living)) = stored {
                if let Some(noted) = noted {
                    journal::forget(noted).await;
                }
                return Ok(living);
            }
            if noted.is_none() {
                noted = journal::note(engine, &answer).await;
            }
            match stored {
                Some(Err(error)) if error.is_closed() => return Err(error.into()),
                Some(Err(error)) => {
                    tracing::error!(%error, account = answer.account, "a provider's answer cannot be stored yet; trying again");
                }
                _ => {
                    tracing::warn!(
                        account = answer.account,
                        "a provider's answer is not stored yet; trying again"
                    );
                }
            }
            let until = engine.clock.monotonic() + pause;
            engine.clock.sleep_until(until).await;
            pause = (pause * 2).min(LONGEST_PAUSE_MS);
        }
    }

    /// Makes the newest stored answer current.
    pub(super) async fn choose(&mut self) -> Result<Step, Error> {
        let Some(held) = Held::load(&self.engine, &self.account_id, self.kind).await? else {
            return Ok(Step::NotChosen);
        };
        let Some(parent) = held.grant.refresh_hash.clone() else {
            return Ok(Step::NotChosen);
        };
        let candidate = self
            .engine
            .store
            .reader()
            .await?
            .candidate(&self.account_id, self.kind, &parent)
            .await?;
        let Some(candidate) = candidate else {
            return Ok(Step::NotChosen);
        };
        let text = held.key.open(&held.candidate_place(), &candidate.sealed)?;
        let mut kept: Kept =
            serde_json::from_str(text.expose()).map_err(|_| crate::keyring::Error::DoesNotOpen)?;
        if kept.refresh.is_none() {
            kept.refresh = held.refresh()?.map(|token| token.expose().clone());
        }
        let new = seal_grant(
            &self.engine,
            &held.key,
            &self.account_id,
            self.kind,
            &held.stored,
            &kept,
        )?;
        let api_base = kept.api_base.clone();
        let (kind, epoch) = (self.kind, held.grant.epoch);
        let account = held.row.account.clone();
        let lock_key = held.grant.lock_key.clone();
        let own = self.lease.as_ref().map(|(holding, _)| holding.clone());
        let was_unwell = held.stored.connection.unwell_since.is_some();
        let was_suspect = held.grant.suspect_since.is_some();
        let (candidate, stored_by) = (candidate.id, candidate.holder);
        let chosen = self
            .engine
            .store
            .write(move |tx| {
                let (account, parent, new) = (account.clone(), parent.clone(), new.clone());
                let (api_base, candidate) = (api_base.clone(), candidate.clone());
                let (lock_key, own) = (lock_key.clone(), own.clone());
                let stored_by = stored_by.clone();
                Box::pin(async move {
                    if !tx.swap_grant(&account.id, kind, (epoch, &parent), &new).await? {
                        return Ok::<_, storage::Error>(false);
                    }
                    tx.settle_candidate(&account.id, kind, &candidate).await?;
                    if let Some(own) = own {
                        tx.release_lease(&own).await?;
                    } else if let Some(holder) = &stored_by {
                        tx.release_dead_lease(&lock_key, holder).await?;
                    }
                    tx.end_intents(&account.id, kind, None, "stored", None).await?;
                    tx.execute(
                        "update accounts set scopes = case when $2 = 'user' then $3 else scopes end, api_base = $4, \
                         updated_at = $5 where id = $1",
                        vec![
                            (&account.id).into(),
                            kind.word().into(),
                            storage::Json(&new.scopes).into(),
                            api_base.into(),
                            tx.now().into(),
                        ],
                    )
                    .await?;
                    let (ill, well) = (ConnectionState::InvalidClient, ConnectionState::Active);
                    tx.mark_connection(&account.connection, ill, well, "").await?;
                    if was_unwell {
                        tx.mark_health(&account.connection, true).await?;
                    }
                    if was_suspect {
                        tx.trust_again(&account.connection).await?;
                    }
                    if kind == TokenKind::User {
                        tx.mark_mended(&account.id).await?;
                    }
                    tx.record(
                        Event::new(Kind::GrantRefreshed)
                            .person(&account.person_id)
                            .account(&account.id)
                            .data("token_kind", kind.word())
                            .data("epoch", epoch + 1),
                    );
                    tx.signal(Some(&account.person_id), "account", &account.id);
                    Ok(true)
                })
            })
            .await?;
        Ok(if chosen {
            self.lease = None;
            Step::Chosen
        } else {
            Step::NotChosen
        })
    }

    pub(super) async fn settle(&mut self, settlement: Settlement) -> Result<Step, Error> {
        let held = self.held()?;
        let (kind, epoch) = (self.kind, held.grant.epoch);
        let account = held.row.account.clone();
        let parent = held.grant.refresh_hash.clone().unwrap_or_default();
        let (burst, probe_at) = (self.burst, suspect::probe_at(&self.engine));
        let (intent, lease) = (self.intent.clone(), self.lease.take());
        let holding = lease.map(|(holding, _)| holding);
        let settled = self
            .engine
            .store
            .write(move |tx| {
                let (account, intent) = (account.clone(), intent.clone());
                let (settlement, holding) = (settlement.clone(), holding.clone());
                let parent = parent.clone();
                Box::pin(async move {
                    let (outcome, mut state, detail) = match &settlement {
                        Settlement::NotDone => ("not_sent", "fresh", "not_done"),
                        Settlement::Unknown => ("unknown", "unknown", "unanswered"),
                        Settlement::Refused(code) | Settlement::ClientRefused(code) => {
                            ("refused", "fresh", code.as_str())
                        }
                        Settlement::Ended(reason) => ("refused", "reconnect", reason.word()),
                        Settlement::Suspect => ("refused", "fresh", "suspect"),
                    };
                    if !intent.is_empty() {
                        tx.end_intents(&account.id, kind, Some(&intent), outcome, Some(detail))
                            .await?;
                    }
                    // A no to this call says nothing about an earlier one.
                    if state == "fresh" && tx.unresolved(&account.id, kind, &parent).await? {
                        state = "unknown";
                    }
                    // An answer stored meanwhile, by a holder that was stopped for long, counts.
                    tx.lock_living(&account.id).await?;
                    let moved = tx.candidate(&account.id, kind, &parent).await?.is_some()
                        || !tx.mark_grant(&account.id, kind, epoch, state).await?;
                    if let Some(holding) = &holding {
                        tx.release_lease(holding).await?;
                    }
                    if let Settlement::ClientRefused(code) = &settlement {
                        let (well, ill) = (ConnectionState::Active, ConnectionState::InvalidClient);
                        tx.mark_connection(&account.connection, well, ill, code)
                            .await?;
                    }
                    if moved {
                        // Linked again meanwhile: this answer is about the grant before.
                        return Ok::<_, storage::Error>(Step::Moved);
                    }
                    tx.record(
                        Event::new(Kind::RefreshFailed)
                            .person(&account.person_id)
                            .account(&account.id)
                            .data("token_kind", kind.word())
                            .data("outcome", outcome)
                            .data("detail", detail),
                    );
                    if settlement == Settlement::Suspect {
                        tx.mark_suspect(&account.id, kind, probe_at).await?;
                        if burst {
                            tx.suspect(&account.connection, probe_at).await?;
                        }
                    }
                    if let (Settlement::Ended(reason), TokenKind::User) = (&settlement, kind) {
                        tx.mark_reconnect(&account.id, &account.person_id, *reason)
                            .await?;
                    }
                    Ok(Step::Settled)
                })
            })
            .await?;
        Ok(settled)
    }
}
