//! One refresh, driven for real: does what `step.rs` says, in that order.

mod keeping;

use super::breaker::{Pass, Turn};
use super::flight_sql::Holding;
use super::held::Held;
use super::step::{Effect, Event as Step, Outcome, Refusal, State, View, step};
use super::suspect;
use super::wire::{self, CALL_TIMEOUT, Grant, TokenAnswer, TokenError};
use super::{Error, Reason, TokenKind};
use crate::Engine;
use crate::storage;

/// A holder sends nothing once it has had the lease for longer than this (milliseconds).
const SEND_BY_MS: i64 = 5_000;
/// A lease that stood unchanged for so long, on our own monotonic clock, is
/// held by nobody who could still be calling: time to send, hard time-out, margin.
const TAKEOVER_MS: i64 = SEND_BY_MS + CALL_TIMEOUT.as_millis() as i64 + 10_000;
/// How often a waiter looks at the row itself: wake-ups are hints.
const LOOK_AGAIN_MS: i64 = 1_000;

/// Refreshes a grant that stood at `epoch` when the caller looked. Also answers
/// whether the provider was spared instead of asked.
pub(super) async fn fly(
    engine: &Engine,
    account_id: &str,
    kind: TokenKind,
    epoch: i64,
) -> (Outcome, bool) {
    let mut flight = Flight {
        engine: engine.clone(),
        account_id: account_id.to_owned(),
        kind,
        asked_epoch: epoch,
        holder: format!(
            "{}/{}",
            engine.settings.instance,
            crate::ids::id("fly", engine.now(), &*engine.rng)
        ),
        held: None,
        lease: None,
        pass: None,
        spared: false,
        burst: false,
        intent: String::new(),
        answer: None,
    };
    let outcome = match flight.drive().await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(%error, account = account_id, "a refresh could not be carried through");
            flight.let_go().await;
            Outcome::Down {
                retry_after_s: Some(1),
                ambiguous: false,
            }
        }
    };
    (outcome, flight.spared)
}

struct Flight {
    engine: Engine,
    account_id: String,
    kind: TokenKind,
    asked_epoch: i64,
    holder: String,
    held: Option<Held>,
    /// The holding, and when we took it (monotonic).
    lease: Option<(Holding, i64)>,
    /// Leave to make the call. Never kept while another's lease is waited for.
    pass: Option<Pass>,
    /// No leave was given.
    spared: bool,
    /// This refusal was one of many at once.
    burst: bool,
    intent: String,
    answer: Option<TokenAnswer>,
}

impl Flight {
    async fn drive(&mut self) -> Result<Outcome, Error> {
        let mut state = State::start();
        let mut event = Step::Begin;
        loop {
            let (next, effect) = step(&state, event);
            state = next;
            event = match effect {
                Effect::Look => self.look().await?,
                Effect::TakeLease { over } => self.take_lease(over).await?,
                Effect::AwaitLease { counter } => self.await_lease(counter).await?,
                Effect::WriteIntent => self.write_intent().await?,
                Effect::AskProvider => self.ask_provider().await?,
                Effect::KeepAnswer => self.keep_answer().await?,
                Effect::Choose => self.choose().await?,
                Effect::Settle(settlement) => self.settle(settlement).await?,
                Effect::Release => {
                    self.let_go().await;
                    Step::Settled
                }
                Effect::Finish(outcome) => return Ok(outcome),
            };
        }
    }

    fn held(&self) -> Result<&Held, Error> {
        self.held.as_ref().ok_or(Error::NotFound)
    }

    async fn look(&mut self) -> Result<Step, Error> {
        self.held = Held::load(&self.engine, &self.account_id, self.kind).await?;
        let Some(held) = &self.held else {
            let gone = View {
                gone: true,
                stale: true,
                can_refresh: false,
                candidate: false,
                unresolved: false,
                ended: None,
            };
            return Ok(Step::Seen(gone));
        };
        let ended = held.grant.ended.then(|| {
            let word = held.row.account.state_reason.as_deref().unwrap_or_default();
            word.parse().unwrap_or(Reason::Revoked)
        });
        let (mut candidate, mut unresolved) = (false, false);
        if let Some(parent) = &held.grant.refresh_hash {
            let mut rx = self.engine.store.reader().await?;
            candidate = rx
                .candidate(&self.account_id, self.kind, parent)
                .await?
                .is_some();
            // A provider that keeps the token has spent nothing by answering.
            unresolved = held.stored.entry.refresh.may_spend()
                && rx.unresolved(&self.account_id, self.kind, parent).await?;
        }
        Ok(Step::Seen(View {
            gone: false,
            stale: held.grant.epoch == self.asked_epoch,
            can_refresh: held.grant.refresh_sealed.is_some(),
            candidate,
            unresolved,
            ended,
        }))
    }

    async fn take_lease(&mut self, over: Option<i64>) -> Result<Step, Error> {
        if self.pass.is_none() {
            let connection = &self.held()?.stored.connection.id;
            let breaker = self.engine.vault.breakers.of(connection);
            match breaker.pass(&*self.engine.clock).await {
                Ok(pass) => self.pass = Some(pass),
                Err(seconds) => {
                    self.spared = true;
                    return Ok(Step::NotDone {
                        retry_after_s: Some(seconds),
                    });
                }
            }
        }
        let lock_key = self.held()?.grant.lock_key.clone();
        let holder = self.holder.clone();
        // Taken before the write: the time we may send is counted from here.
        let taken_at = self.engine.clock.monotonic();
        let deadline = self.engine.now() + TAKEOVER_MS;
        let key = lock_key.clone();
        let taken = self
            .engine
            .store
            .write(move |tx| {
                let (key, holder) = (key.clone(), holder.clone());
                Box::pin(async move {
                    match tx.take_lease(&key, &holder, over, deadline).await? {
                        Some(counter) => Ok::<_, storage::Error>(Ok(counter)),
                        None => Ok(Err(tx.lease_held(&key).await?)),
                    }
                })
            })
            .await?;
        Ok(match taken {
            Ok(counter) => {
                let holding = Holding {
                    lock_key,
                    holder: self.holder.clone(),
                    counter,
                };
                self.lease = Some((holding, taken_at));
                Step::LeaseTaken
            }
            // Freed between the two statements cannot be (one write), but a
            // counter that stands for nobody only costs one look more.
            Err(counter) => {
                self.pass = None;
                Step::LeaseHeld {
                    counter: counter.unwrap_or(-1),
                }
            }
        })
    }

    async fn await_lease(&mut self, counter: i64) -> Result<Step, Error> {
        let lock_key = self.held()?.grant.lock_key.clone();
        let mut signals = self.engine.store.signals();
        let overdue = self.engine.clock.monotonic() + TAKEOVER_MS;
        loop {
            if self
                .engine
                .store
                .reader()
                .await?
                .lease_held(&lock_key)
                .await?
                != Some(counter)
            {
                return Ok(Step::LeaseFreed);
            }
            // A stored answer says that the call is over, whatever became of the holder.
            if let Step::Seen(View {
                candidate: true, ..
            }) = self.look().await?
            {
                return Ok(Step::LeaseFreed);
            }
            let now = self.engine.clock.monotonic();
            if now >= overdue {
                return Ok(Step::LeaseOverdue);
            }
            let nap = self
                .engine
                .clock
                .sleep_until(overdue.min(now + LOOK_AGAIN_MS));
            tokio::select! {
                () = nap => {}
                () = woken(&mut signals, &lock_key) => {}
            }
        }
    }

    async fn write_intent(&mut self) -> Result<Step, Error> {
        let held = self.held()?;
        let parent = held.grant.refresh_hash.clone().ok_or(Error::NotFound)?;
        let (account, kind, epoch) = (self.account_id.clone(), self.kind, held.grant.epoch);
        let Some((holding, _)) = self.lease.clone() else {
            return Ok(Step::IntentMoved);
        };
        let written = self
            .engine
            .store
            .write(move |tx| {
                let (account, parent, holding) = (account.clone(), parent.clone(), holding.clone());
                Box::pin(async move {
                    if !tx.still_holds(&holding).await? {
                        return Ok::<_, storage::Error>(None);
                    }
                    // Stored since we looked, by a holder that was stopped for long.
                    tx.lock_living(&account).await?;
                    if tx.candidate(&account, kind, &parent).await?.is_some() {
                        tx.release_lease(&holding).await?;
                        return Ok(None);
                    }
                    let same = tx
                        .execute(
                            "update provider_grants set state = 'leased', updated_at = $5 where account_id = $1 \
                             and token_kind = $2 and epoch = $3 and refresh_hash = $4 and state <> 'reconnect'",
                            vec![
                                (&account).into(),
                                kind.word().into(),
                                epoch.into(),
                                (&parent).into(),
                                tx.now().into(),
                            ],
                        )
                        .await?;
                    if same == 0 {
                        tx.release_lease(&holding).await?;
                        return Ok(None);
                    }
                    // Whoever left one open is gone, and nobody knows what came of it.
                    tx.end_intents(&account, kind, None, "unknown", Some("holder gone")).await?;
                    let id = tx.new_id("int");
                    tx.execute(
                        "insert into refresh_intents (id, account_id, token_kind, epoch, parent_hash, holder, started_at) \
                         values ($1, $2, $3, $4, $5, $6, $7)",
                        vec![
                            (&id).into(),
                            (&account).into(),
                            kind.word().into(),
                            epoch.into(),
                            (&parent).into(),
                            (&holding.holder).into(),
                            tx.now().into(),
                        ],
                    )
                    .await?;
                    Ok(Some(id))
                })
            })
            .await?;
        Ok(match written {
            Some(id) => {
                self.intent = id;
                Step::IntentWritten
            }
            None => {
                self.lease = None;
                Step::IntentMoved
            }
        })
    }

    async fn ask_provider(&mut self) -> Result<Step, Error> {
        let held = self.held()?;
        // What cannot be opened is found out before anything is sent.
        let opened = held
            .refresh()
            .and_then(|token| token.ok_or(crate::keyring::Error::DoesNotOpen));
        let secret = held.stored.secret(&self.engine).await;
        let (token, secret) = match (opened, secret) {
            (Ok(token), Ok(secret)) => (token, secret),
            (opened, secret) => {
                let error = opened
                    .err()
                    .map(Error::from)
                    .or(secret.err())
                    .unwrap_or(Error::NotFound);
                tracing::error!(%error, account = self.account_id, "a sealed token or secret does not open");
                return Ok(Step::Refused(Refusal::Other("does_not_open".to_owned())));
            }
        };
        let Some(send_by) = self.lease.as_ref().map(|(_, at)| at + SEND_BY_MS) else {
            return Ok(Step::TooLate);
        };
        if self.engine.clock.monotonic() > send_by {
            return Ok(Step::TooLate);
        }
        let grant = Grant::Refresh {
            token: &token,
            kind: self.kind,
            send_by,
        };
        let answered = wire::ask_token(&self.engine, &held.stored, &secret, grant).await;
        self.note_health(&answered).await;
        let believed = self.believe(&answered)?;
        Ok(match answered {
            Ok(answer) => {
                self.answer = Some(answer);
                Step::Answered
            }
            Err(error) => {
                tracing::info!(%error, account = self.account_id, "a refresh was not answered with a token");
                match error {
                    TokenError::InvalidGrant if believed => Step::Refused(Refusal::Grant),
                    TokenError::InvalidGrant => Step::Refused(Refusal::Suspect),
                    TokenError::InvalidClient(code) => Step::Refused(Refusal::Client(code)),
                    TokenError::Refused(code) => Step::Refused(Refusal::Other(code)),
                    TokenError::NotSent => Step::NotDone {
                        retry_after_s: None,
                    },
                    TokenError::Limited { retry_after_s } => Step::NotDone { retry_after_s },
                    TokenError::Down { retry_after_s } => Step::Unanswered { retry_after_s },
                    TokenError::Lost(_) => Step::Unanswered {
                        retry_after_s: None,
                    },
                }
            }
        })
    }

    /// Tells the breaker, and everybody else if it turned. With a token in hand
    /// the write that makes it current does that: nothing comes before it.
    async fn note_health(&mut self, answered: &Result<TokenAnswer, TokenError>) {
        let (Some(pass), Ok(held)) = (self.pass.take(), self.held()) else {
            return;
        };
        let now = self.engine.clock.monotonic();
        let is_well = match pass.came_back(now, &self.account_id, answered) {
            Turn::Opened => false,
            Turn::Closed if answered.is_err() => true,
            Turn::Closed | Turn::Same => return,
        };
        let connection = held.stored.connection.id.clone();
        let marked = self
            .engine
            .store
            .write(move |tx| {
                let connection = connection.clone();
                Box::pin(async move { tx.mark_health(&connection, is_well).await })
            })
            .await;
        if let Err(error) = marked {
            tracing::warn!(%error, "a connection's health could not be noted");
        }
    }

    /// Whether the answer is to be taken at its word: `suspect.rs`.
    fn believe(&mut self, answered: &Result<TokenAnswer, TokenError>) -> Result<bool, Error> {
        let refused = match answered {
            Ok(_) => false,
            Err(TokenError::InvalidGrant) => true,
            // Says nothing about the grant.
            Err(_) => return Ok(true),
        };
        let (engine, connection) = (&self.engine, &self.held()?.stored.connection);
        let monotonic = engine.clock.monotonic();
        let burst = engine
            .vault
            .recent
            .note(&connection.id, &self.account_id, monotonic, refused);
        let since = self.held()?.grant.suspect_since;
        let believed = suspect::is_believed(engine.now(), burst, since, connection.suspect_since);
        self.burst = burst && refused;
        Ok(!refused || believed)
    }

    /// Lets go of the lease. If the database is away, time does it.
    async fn let_go(&mut self) {
        let Some((holding, _)) = self.lease.take() else {
            return;
        };
        let released = self
            .engine
            .store
            .write(move |tx| {
                let holding = holding.clone();
                Box::pin(async move { tx.release_lease(&holding).await })
            })
            .await;
        if let Err(error) = released {
            tracing::warn!(%error, account = self.account_id, "a lease could not be released; it runs out by itself");
        }
    }
}

/// Resolves when a lease's row may have changed.
async fn woken(signals: &mut tokio::sync::broadcast::Receiver<storage::Signal>, lock_key: &str) {
    use tokio::sync::broadcast::error::RecvError;
    loop {
        match signals.recv().await {
            Ok(signal) if signal.topic == "lease" && signal.id == lock_key => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            // The store lives as long as the engine; without it only time wakes.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
