//! Refreshing before anybody waits for it.
//!
//! Upkeep looks at a grant shortly before its access token runs out, and
//! refreshes it if it was used since it was obtained; and long before it lapses
//! by lying idle at its provider, used or not. Instances share the work by
//! claiming rows; the refresh itself is the one of `flight.rs`.

use futures::StreamExt as _;

use super::connections::ConnectionState;
use super::held::Held;
use super::providers::Refresh;
use super::refresh::{self, TOO_SHORT_MS, soon};
use super::step::Outcome;
use super::{Error, TokenKind};
use crate::Engine;
use crate::ids::{Rng, random};
use crate::storage::{self, Tx};

const DAY_MS: i64 = 24 * 3_600_000;
/// Nobody else looks at a grant that was claimed less than this ago, and one
/// that could not be refreshed is tried again after it (milliseconds).
const CLAIM_MS: i64 = 5 * 60_000;
/// How many one instance refreshes at a time.
const AT_ONCE: usize = 20;
/// `last_used_at` is kept to the minute.
const USE_IS_KEPT_TO_MS: i64 = 60_000;

/// When upkeep shall look at a grant obtained now; `None` is never. Spread at
/// random, so that what was linked together is not refreshed together.
pub(super) fn look_at(
    rng: &dyn Rng,
    entry: &Refresh,
    now: i64,
    expires_at: Option<i64>,
) -> Option<i64> {
    let expiring = expires_at
        .filter(|at| is_worth_it(entry, at - now))
        .map(|at| at - soon(at - now) - jitter(rng, soon(at - now)));
    let lapsing = lapsing_from(entry, now).map(|at| at + jitter(rng, (at - now) / 2));
    expiring.into_iter().chain(lapsing).min()
}

/// Where a refresh ends the token before, whoever still has that would lose it;
/// and what hardly lives is refreshed at every use anyway.
const fn is_worth_it(entry: &Refresh, life: i64) -> bool {
    !entry.ends_old_access && life > 2 * TOO_SHORT_MS
}

/// From when on an unused grant is kept alive: half of what it may lie idle.
fn lapsing_from(entry: &Refresh, obtained_at: i64) -> Option<i64> {
    entry.idle_days.map(|days| obtained_at + days * DAY_MS / 2)
}

/// Something random from nought up to `most` milliseconds.
pub(super) fn jitter(rng: &dyn Rng, most: i64) -> i64 {
    let dice = i64::from(u16::from_be_bytes(random(rng)));
    most / i64::from(u16::MAX) * dice + most % i64::from(u16::MAX) * dice / i64::from(u16::MAX)
}

/// What is to be done about a grant that is looked at.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Refresh,
    Later(i64),
    Never,
}

fn plan(held: &Held, now: i64) -> Plan {
    let (grant, entry) = (&held.grant, &held.stored.entry.refresh);
    if grant.ended || grant.refresh_sealed.is_none() {
        return Plan::Never;
    }
    if held.stored.connection.state != ConnectionState::Active {
        return Plan::Later(now + 12 * CLAIM_MS);
    }
    // Refused as one of many: asked about again until it is certain.
    if grant.suspect_since.is_some() {
        return Plan::Refresh;
    }
    if let Some(at) = grant.access_expires_at.filter(|at| *at > now)
        && refresh::must_hold(held)
    {
        return Plan::Later(at);
    }
    let lapsing = lapsing_from(entry, grant.obtained_at);
    if lapsing.is_some_and(|at| at <= now) {
        return Plan::Refresh;
    }
    let used_at = held.row.account.last_used_at;
    let is_used = used_at.is_some_and(|at| at >= grant.obtained_at - USE_IS_KEPT_TO_MS);
    let expires = grant.access_expires_at.filter(|at| {
        let life = at - grant.obtained_at;
        is_worth_it(entry, life) && at - 2 * soon(life) <= now
    });
    if is_used && expires.is_some() {
        return Plan::Refresh;
    }
    lapsing.map_or(Plan::Never, Plan::Later)
}

/// Looks at grants that are due, at most `limit`, and refreshes those that need
/// it. Answers how many were refreshed.
///
/// # Errors
/// The database's.
pub async fn run_due(engine: &Engine, limit: i64) -> Result<usize, Error> {
    // The original of a copy looks after the grants.
    if !engine.adoption.is_adopted() {
        return Ok(0);
    }
    let rows = engine
        .store
        .reader()
        .await?
        .all(
            "select account_id, token_kind, ahead_at from provider_grants where ahead_at <= $1 order by ahead_at limit $2",
            vec![engine.now().into(), limit.into()],
        )
        .await?;
    let mut due = Vec::with_capacity(rows.len());
    for row in rows {
        let kind: TokenKind = row.word("provider_grants", "token_kind")?;
        let (id, at): (String, i64) = (row.get("account_id")?, row.get("ahead_at")?);
        due.push((id, kind, at));
    }
    let looked = futures::stream::iter(due)
        .map(|(id, kind, at)| async move {
            let looked = look(engine, &id, kind, at).await;
            // One that cannot be read must not keep the others waiting.
            looked.unwrap_or_else(|error| {
                tracing::error!(%error, account = id, "a grant could not be looked at ahead of its end");
                false
            })
        })
        .buffer_unordered(AT_ONCE)
        .filter(|refreshed| std::future::ready(*refreshed))
        .count()
        .await;
    Ok(looked)
}

/// Looks at one; whether it was refreshed.
async fn look(engine: &Engine, id: &str, kind: TokenKind, at: i64) -> Result<bool, Error> {
    let again = engine.now() + CLAIM_MS + jitter(&*engine.rng, CLAIM_MS);
    if !put_off(engine, id, kind, at, Some(again)).await? {
        return Ok(false);
    }
    let Some(held) = Held::load(engine, id, kind).await? else {
        put_off(engine, id, kind, again, None).await?;
        return Ok(false);
    };
    let next = match plan(&held, engine.now()) {
        Plan::Refresh => match refresh::ahead(engine, &held).await {
            // The write that brought the token says when to look again.
            Outcome::Fresh => return Ok(true),
            Outcome::Gone | Outcome::Reconnect(_) => None,
            // Tried again when the claim is over, or by whoever needs it first.
            Outcome::Down { .. } | Outcome::Refused(_) => return Ok(false),
        },
        Plan::Later(at) => Some(at),
        Plan::Never => None,
    };
    put_off(engine, id, kind, again, next).await?;
    Ok(false)
}

/// Says when to look again, unless somebody else did meanwhile.
async fn put_off(
    engine: &Engine,
    id: &str,
    kind: TokenKind,
    from: i64,
    to: Option<i64>,
) -> Result<bool, Error> {
    let id = id.to_owned();
    let moved = engine
        .store
        .write(move |tx: &mut Tx| {
            let id = id.clone();
            Box::pin(async move {
                let changed = tx
                    .execute(
                        "update provider_grants set ahead_at = $4 where account_id = $1 and token_kind = $2 and ahead_at = $3",
                        vec![id.into(), kind.word().into(), from.into(), to.into()],
                    )
                    .await?;
                Ok::<_, storage::Error>(changed > 0)
            })
        })
        .await?;
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SeededRng;
    use crate::vault::providers::provider;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn grants_are_looked_at_before_they_run_out_and_not_all_at_once() {
        let entry = &provider("google").unwrap().refresh;
        let rng = SeededRng::new(7);
        let times: Vec<i64> = (0..200)
            .map(|_| look_at(&rng, entry, 0, Some(HOUR)).unwrap())
            .collect();
        let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!(*first >= HOUR - 10 * 60_000 && *last <= HOUR - 5 * 60_000);
        assert!(last - first > 3 * 60_000, "{first} {last}");
    }

    #[test]
    fn an_idle_grant_is_looked_at_well_before_it_lapses() {
        let mut entry = provider("google").unwrap().refresh.clone();
        entry.idle_days = Some(90);
        let rng = SeededRng::new(7);
        for _ in 0..200 {
            let at = look_at(&rng, &entry, 0, None).unwrap();
            assert!((45 * DAY_MS..=68 * DAY_MS).contains(&at), "{at}");
        }
        entry.idle_days = None;
        assert_eq!(look_at(&rng, &entry, 0, None), None);
    }

    #[test]
    fn a_refresh_that_ends_the_token_in_use_is_not_made_ahead() {
        let mut entry = provider("google").unwrap().refresh.clone();
        entry.idle_days = None;
        let rng = SeededRng::new(7);
        assert_eq!(look_at(&rng, &entry, 0, Some(TOO_SHORT_MS)), None);
        entry.ends_old_access = true;
        assert_eq!(look_at(&rng, &entry, 0, Some(HOUR)), None);
    }
}
