//! Keeping grants fresh: who gets which token, and one refresh at a time.
//!
//! The refresh itself is a task of its own (`flight.rs`): a caller that goes
//! away cannot stop it between the provider's answer and the store. Callers of
//! this process share one flight; those of other processes meet at the lease.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use super::breaker::Breakers;
use super::connections::ConnectionState;
use super::held::Held;
use super::providers::RefreshRule;
use super::step::Outcome;
use super::suspect::Recent;
use super::{Error, Reason, flight, pages};
use crate::Engine;
use crate::secret::Secret;

/// Whom a provider token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// The person. Every account has it.
    User,
    /// A bot (Slack), where its scopes were asked for.
    Bot,
}

impl TokenKind {
    /// The word in rows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Bot => "bot",
        }
    }
}

impl std::str::FromStr for TokenKind {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::User, Self::Bot]
            .into_iter()
            .find(|kind| kind.word() == word)
            .ok_or(())
    }
}

/// A provider access token that lives.
#[derive(Clone)]
pub struct FreshToken {
    /// The token.
    pub access: Secret<String>,
    /// Unix milliseconds; `None` where the provider names no end.
    pub expires_at: Option<i64>,
    /// What it really allows.
    pub scopes: Vec<String>,
    /// The account's own API address (Salesforce), where it has one.
    pub api_base: Option<String>,
}

/// A token that has less than this left (milliseconds) is refreshed first.
pub(super) const TOO_SHORT_MS: i64 = 30_000;
/// A token that has less than this left is refreshed beside its use.
const SOON_MS: i64 = 5 * 60_000;
/// How long before its end a token that lives for `life` is refreshed beside its use.
pub(super) fn soon(life: i64) -> i64 {
    SOON_MS.min(life / 5)
}

/// How long a caller waits for a refresh (milliseconds); the refresh itself goes on.
const PATIENCE_MS: i64 = 45_000;

pub(super) type Flight = Shared<BoxFuture<'static, Outcome>>;
type GrantKey = (String, TokenKind);

/// What this room keeps in memory: refreshes under way, and who is to be left
/// alone for a while.
#[derive(Default)]
pub struct Memory {
    flights: Mutex<HashMap<GrantKey, Flight>>,
    pauses: Mutex<HashMap<GrantKey, Pause>>,
    pub(super) breakers: Breakers,
    pub(super) recent: Recent,
    /// Answers on disk that cannot be read, of which the log has told.
    pub(super) unreadable: Mutex<HashSet<PathBuf>>,
    /// Grants whose lost answer is being asked for again within its grace time.
    regained: Mutex<HashSet<GrantKey>>,
}

#[derive(Clone)]
struct Pause {
    failures: u32,
    /// On the monotonic clock, milliseconds.
    until: i64,
    outcome: Outcome,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An access token of this account that lives, refreshed if need be. However
/// many ask at once, the provider is asked once.
///
/// # Errors
/// [`Error::Reconnect`], [`Error::ProviderDown`], [`Error::ProviderRefused`], [`Error::NotFound`].
pub async fn fresh_token(
    engine: &Engine,
    account_id: &str,
    kind: TokenKind,
) -> Result<FreshToken, Error> {
    Ok(fresh_after(engine, account_id, kind, None).await?.0)
}

/// As [`fresh_token`]; the token of epoch `spent` is known to be refused. Also
/// answers the epoch of the token.
pub(super) async fn fresh_after(
    engine: &Engine,
    account_id: &str,
    kind: TokenKind,
    spent: Option<i64>,
) -> Result<(FreshToken, i64), Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        let held = Held::load(engine, account_id, kind)
            .await?
            .ok_or(Error::NotFound)?;
        // An answer may have been stored after everybody had stopped waiting.
        if held.grant.ended && !held.has_answer(engine).await? {
            return Err(reconnect(engine, &held, stored_reason(&held)));
        }
        if held.stored.connection.state == ConnectionState::Disabled {
            return Err(refused(&held, "connection_disabled"));
        }
        let epoch = held.grant.epoch;
        let now = engine.now();
        let left = held.grant.access_expires_at.map(|at| at - now);
        let is_spent = spent == Some(epoch) || held.grant.ended;
        let lives =
            !is_spent && held.grant.access_sealed.is_some() && left.is_none_or(|left| left > 0);
        let must = !lives
            || (left.is_some_and(|left| left < TOO_SHORT_MS)
                && held.grant.refresh_sealed.is_some());
        let hold = lives && must_hold(&held);
        if !must || hold {
            let life = held
                .grant
                .access_expires_at
                .map_or(0, |at| at - held.grant.obtained_at);
            if left.is_some_and(|left| left < soon(life))
                && held.grant.refresh_sealed.is_some()
                && !hold
                && paused(engine, &held).is_none()
                && engine.adoption.is_adopted()
            {
                // Nobody waits for this one.
                drop(start(engine, &held));
            }
            return served(held);
        }
        if !engine.adoption.is_adopted() {
            return if lives {
                served(held)
            } else {
                Err(Error::NotAdopted)
            };
        }
        match ahead(engine, &held).await {
            // However short a token lives, it is released at least once.
            Outcome::Fresh if tries < 3 => {}
            Outcome::Gone => return Err(Error::NotFound),
            Outcome::Reconnect(reason) => return Err(reconnect(engine, &held, reason)),
            _ if lives => return served(held),
            Outcome::Refused(code) => return Err(refused(&held, &code)),
            outcome @ (Outcome::Fresh | Outcome::Down { .. }) => {
                let retry_after_s = match outcome {
                    Outcome::Down {
                        retry_after_s: Some(seconds),
                        ..
                    } => seconds.max(1),
                    _ => 1,
                };
                return Err(Error::ProviderDown {
                    connection: held.row.account.connection,
                    retry_after_s,
                });
            }
        }
    }
}

/// Whether the grant is to be left alone while its access token lives: if the
/// lost answer spent the refresh token, presenting it again ends the grant, and
/// the access token with it.
pub(super) fn must_hold(held: &Held) -> bool {
    let entry = &held.stored.entry.refresh;
    held.grant.unknown && spends_at_once(entry.rule, entry.grace_seconds)
}

/// Refreshes a grant that still lives, unless its provider is to be left alone.
pub(super) async fn ahead(engine: &Engine, held: &Held) -> Outcome {
    match paused(engine, held) {
        Some(outcome) => outcome,
        None => wait(engine, start(engine, held)).await,
    }
}

/// Whether a refresh spends the refresh token at once, also when its answer is lost.
fn spends_at_once(rule: RefreshRule, grace_s: i64) -> bool {
    matches!(rule, RefreshRule::Rotates | RefreshRule::RotatesStrictly) && grace_s == 0
}

fn served(held: Held) -> Result<(FreshToken, i64), Error> {
    let access = held.access()?.ok_or(Error::NotFound)?;
    let token = FreshToken {
        access,
        expires_at: held.grant.access_expires_at,
        scopes: held.grant.scopes,
        api_base: held.row.api_base,
    };
    Ok((token, held.grant.epoch))
}

fn stored_reason(held: &Held) -> Reason {
    let word = held.row.account.state_reason.as_deref().unwrap_or_default();
    word.parse().unwrap_or(Reason::Revoked)
}

fn reconnect(engine: &Engine, held: &Held, reason: Reason) -> Error {
    let account = &held.row.account;
    Error::Reconnect {
        connection: account.connection.clone(),
        account_id: account.id.clone(),
        reason,
        link: pages::link(engine, &account.connection),
    }
}

fn refused(held: &Held, code: &str) -> Error {
    Error::ProviderRefused {
        connection: held.row.account.connection.clone(),
        code: code.to_owned(),
    }
}

/// The flight of this grant: the one under way, or a new one.
pub(super) fn start(engine: &Engine, held: &Held) -> Flight {
    let grant = (held.id().to_owned(), held.kind);
    let mut flights = locked(&engine.vault.flights);
    if let Some(flight) = flights.get(&grant) {
        return flight.clone();
    }
    let (sender, receiver) = oneshot::channel();
    let flight: Flight = async move {
        // A task that panicked has stored what it had stored; asking again is safe.
        receiver.await.unwrap_or(Outcome::Down {
            retry_after_s: Some(1),
            ambiguous: true,
        })
    }
    .boxed()
    .shared();
    flights.insert(grant.clone(), flight.clone());
    drop(flights);
    let landing = Landing {
        engine: engine.clone(),
        grant: grant.clone(),
    };
    let (engine, epoch, entry) = (engine.clone(), held.grant.epoch, held.stored.entry.clone());
    tokio::spawn(async move {
        let (outcome, spared) = flight::fly(&engine, &grant.0, grant.1, epoch).await;
        let grace_s = entry.refresh.grace_seconds;
        // Whoever was not let through has no failure of its own.
        if !spared {
            note(&engine, &grant, &outcome, entry.refresh.rule, grace_s);
        }
        // Off the list before anybody hears of it: whoever comes later looks anew.
        drop(landing);
        let lost = matches!(
            outcome,
            Outcome::Down {
                ambiguous: true,
                ..
            }
        );
        let _ = sender.send(outcome);
        if lost && grace_s > 0 && locked(&engine.vault.regained).insert(grant.clone()) {
            tokio::spawn(regain(engine, grant, epoch, grace_s));
        }
    });
    flight
}

/// Asks again for an answer that may have been lost, for as long as the
/// provider answers the old token with the same successor: if nobody happens to
/// need the grant before that is over, it would be lost.
async fn regain(engine: Engine, grant: GrantKey, epoch: i64, grace_s: i64) {
    let until = engine.clock.monotonic() + grace_s * 1000;
    loop {
        let pause = locked(&engine.vault.pauses)
            .get(&grant)
            .map(|pause| pause.until);
        let Some(at) = pause.filter(|at| *at < until) else {
            break;
        };
        engine.clock.sleep_until(at).await;
        if engine.clock.monotonic() > until {
            break;
        }
        let held = match Held::load(&engine, &grant.0, grant.1).await {
            Ok(Some(held)) if held.grant.epoch == epoch && !held.grant.ended => held,
            _ => break,
        };
        let outcome = start(&engine, &held).await;
        if !matches!(outcome, Outcome::Down { .. }) {
            break;
        }
    }
    locked(&engine.vault.regained).remove(&grant);
}

/// Takes a flight off the list, also when its task panics.
struct Landing {
    engine: Engine,
    grant: GrantKey,
}

impl Drop for Landing {
    fn drop(&mut self) {
        locked(&self.engine.vault.flights).remove(&self.grant);
    }
}

async fn wait(engine: &Engine, flight: Flight) -> Outcome {
    let patience = engine
        .clock
        .sleep_until(engine.clock.monotonic() + PATIENCE_MS);
    tokio::select! {
        outcome = flight => outcome,
        () = patience => Outcome::Down { retry_after_s: Some(5), ambiguous: false },
    }
}

/// Waits for a refresh of this account that is under way in this process.
pub(super) async fn settle(engine: &Engine, account_id: &str) {
    for kind in [TokenKind::User, TokenKind::Bot] {
        let flight = locked(&engine.vault.flights)
            .get(&(account_id.to_owned(), kind))
            .cloned();
        if let Some(flight) = flight {
            wait(engine, flight).await;
        }
    }
}

/// Forgets that this account's provider was unwell: it was linked again.
pub(super) fn forget_pauses(engine: &Engine, account_id: &str) {
    locked(&engine.vault.pauses).retain(|(id, _), _| id != account_id);
}

/// What the last failure said, while its pause lasts.
fn paused(engine: &Engine, held: &Held) -> Option<Outcome> {
    let pauses = locked(&engine.vault.pauses);
    let pause = pauses.get(&(held.id().to_owned(), held.kind))?;
    let left = pause.until - engine.clock.monotonic();
    if left <= 0 {
        return None;
    }
    let seconds = u64::try_from(left.div_euclid(1000) + 1).unwrap_or(1);
    Some(match &pause.outcome {
        Outcome::Down { ambiguous, .. } => Outcome::Down {
            retry_after_s: Some(seconds),
            ambiguous: *ambiguous,
        },
        other => other.clone(),
    })
}

/// Leaves a provider alone after a failure: longer each time, as long as it
/// says, and after a lost answer as long as its refresh rule makes prudent.
fn note(engine: &Engine, grant: &GrantKey, outcome: &Outcome, rule: RefreshRule, grace_s: i64) {
    let mut pauses = locked(&engine.vault.pauses);
    let (retry_after_s, least_s) = match outcome {
        Outcome::Fresh | Outcome::Gone | Outcome::Reconnect(_) => {
            pauses.remove(grant);
            return;
        }
        Outcome::Refused(_) => (None, 30),
        Outcome::Down {
            retry_after_s,
            ambiguous,
        } => {
            let spent = *ambiguous && spends_at_once(rule, grace_s);
            (*retry_after_s, if spent { 30 } else { 1 })
        }
    };
    let failures = pauses.get(grant).map_or(0, |pause| pause.failures) + 1;
    let backoff = 1_u64 << (failures - 1).min(6);
    let seconds = retry_after_s.unwrap_or(0).max(backoff.min(60)).max(least_s);
    // A table of accounts that failed once and were never asked for again.
    if pauses.len() > 10_000 {
        let now = engine.clock.monotonic();
        pauses.retain(|_, pause| pause.until > now);
    }
    let until = engine.clock.monotonic() + i64::try_from(seconds).unwrap_or(60) * 1000;
    pauses.insert(
        grant.clone(),
        Pause {
            failures,
            until,
            outcome: outcome.clone(),
        },
    );
}
