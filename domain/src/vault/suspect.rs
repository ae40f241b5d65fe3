//! When a provider's no is not believed at once.
//!
//! Many grants refused over one connection within minutes are more likely one
//! mistake at the provider than as many decisions of people. They are kept and
//! asked about again, here and there at random, instead of sending everybody to
//! link again; one that is answered lifts the suspicion, and one that is still
//! refused after an hour is believed. Those given up just before are taken back.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::ahead::jitter;
use super::step::SUSPECT_S;
use super::{Connection, Reason, TokenKind};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::storage::{Error, Tx};

/// So many accounts refused, and at least as many as were answered.
const BURST: usize = 5;
/// Within so long (milliseconds).
const WINDOW_MS: i64 = 10 * 60_000;
/// How many answers of a connection are remembered.
const REMEMBERED: usize = 20;
/// How long a connection stays suspect after a burst (milliseconds).
const LASTS_MS: i64 = 2 * 3_600_000;
/// After how long a grant that is still refused is given up (milliseconds).
const CONFIRMED_MS: i64 = 3_600_000;

/// The last answers of each connection, in this instance's memory.
#[derive(Default)]
pub(super) struct Recent(Mutex<HashMap<String, VecDeque<Answered>>>);

struct Answered {
    /// Monotonic milliseconds.
    at: i64,
    account: String,
    refused: bool,
}

impl Recent {
    /// Notes an answer at `now` (monotonic milliseconds); whether refusals come in a burst.
    pub fn note(&self, connection: &str, account: &str, now: i64, refused: bool) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = all.entry(connection.to_owned()).or_default();
        // An account counts once, however often it is asked for.
        recent.retain(|one| one.account != account && one.at > now - WINDOW_MS);
        if recent.len() >= REMEMBERED {
            recent.pop_front();
        }
        recent.push_back(Answered {
            at: now,
            account: account.to_owned(),
            refused,
        });
        let refusals = recent.iter().filter(|one| one.refused).count();
        refusals >= BURST && refusals * 2 >= recent.len()
    }
}

/// Whether a no is taken at its word, with the times since when the grant and
/// its connection have been suspect (Unix milliseconds).
pub(super) fn is_believed(
    now: i64,
    burst: bool,
    grant: Option<i64>,
    connection: Option<i64>,
) -> bool {
    match grant {
        Some(since) => now - since >= CONFIRMED_MS,
        None => !burst && !is_on(now, connection),
    }
}

fn is_on(now: i64, connection: Option<i64>) -> bool {
    connection.is_some_and(|since| now - since < LASTS_MS)
}

/// When upkeep asks about a suspect again.
pub(super) fn probe_at(engine: &Engine) -> i64 {
    let pause_ms = i64::try_from(SUSPECT_S).unwrap_or(600) * 1000;
    engine.now() + pause_ms + jitter(&*engine.rng, pause_ms)
}

impl Connection {
    /// Whether it refuses so many accounts that it is not believed (`now` in Unix milliseconds).
    #[must_use]
    pub fn is_suspect(&self, now: i64) -> bool {
        is_on(now, self.suspect_since)
    }
}

impl Tx {
    /// The grant stays as it is, to be asked about again.
    pub(super) async fn mark_suspect(
        &mut self,
        account: &str,
        kind: TokenKind,
        probe_at: i64,
    ) -> Result<(), Error> {
        self.execute(
            "update provider_grants set suspect_since = coalesce(suspect_since, $3), ahead_at = $4 \
             where account_id = $1 and token_kind = $2",
            vec![
                account.into(),
                kind.word().into(),
                self.now().into(),
                probe_at.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// The connection is not believed; what it has just ended is taken back.
    pub(super) async fn suspect(&mut self, connection: &str, probe_at: i64) -> Result<(), Error> {
        let now = self.now();
        let changed = self
            .execute(
                "update connections set suspect_since = $2 where id = $1 and (suspect_since is null or suspect_since <= $3)",
                vec![connection.into(), now.into(), (now - LASTS_MS).into()],
            )
            .await?;
        if changed == 0 {
            return Ok(());
        }
        let given_up = self
            .all(
                "select id, person_id from accounts where connection_id = $1 and state = 'reconnect' \
                 and state_reason = $2 and updated_at > $3 limit 100",
                vec![
                    connection.into(),
                    Reason::Revoked.word().into(),
                    (now - WINDOW_MS).into(),
                ],
            )
            .await?;
        for row in &given_up {
            let (id, person): (String, String) = (row.get("id")?, row.get("person_id")?);
            self.execute(
                "update provider_grants set state = 'fresh', suspect_since = $2, ahead_at = $3, updated_at = $2 \
                 where account_id = $1 and state = 'reconnect' and refresh_sealed is not null",
                vec![(&id).into(), now.into(), probe_at.into()],
            )
            .await?;
            self.mark_mended(&id).await?;
            self.signal(Some(&person), "account", &id);
        }
        let taken_back = i64::try_from(given_up.len()).unwrap_or(100);
        self.record(
            Event::new(Kind::ConnectionChanged)
                .data("connection", connection)
                .data("grants", "suspect")
                .data("taken_back", taken_back),
        );
        self.signal(None, "connection", connection);
        Ok(())
    }

    /// One of those it refused was answered.
    pub(super) async fn trust_again(&mut self, connection: &str) -> Result<(), Error> {
        let changed = self
            .execute(
                "update connections set suspect_since = null where id = $1 and suspect_since is not null",
                vec![connection.into()],
            )
            .await?;
        if changed > 0 {
            self.record(
                Event::new(Kind::ConnectionChanged)
                    .data("connection", connection)
                    .data("grants", "believed"),
            );
            self.signal(None, "connection", connection);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_many_accounts_and_most_of_them_within_minutes() {
        let recent = Recent::default();
        // One account however often.
        assert!((0..50).all(|at| !recent.note("c", "a", at, true)));
        for account in ["b", "c", "d"] {
            assert!(!recent.note("c", account, 60, true));
        }
        assert!(!recent.note("other", "e", 60, true));
        assert!(recent.note("c", "e", 60, true));
        // Long after, each is alone again.
        assert!(!recent.note("c", "f", 60 + WINDOW_MS, true));
        // Among many that are answered, five are nothing special.
        let calm = Recent::default();
        for number in 0..15 {
            calm.note("c", &number.to_string(), 0, false);
        }
        for number in 20..25 {
            assert!(!calm.note("c", &number.to_string(), 0, true));
        }
    }
}
