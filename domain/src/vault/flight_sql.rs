//! Rows of a refresh: leases, intents and stored answers.

use super::TokenKind;
use crate::storage::{Error, Tx, Value};

/// A stored answer that was not chosen yet.
pub(super) struct CandidateRow {
    pub id: String,
    /// Who stored it.
    pub holder: Option<String>,
    pub sealed: Vec<u8>,
}

/// A holding of a lease: whose, and the how-manieth.
#[derive(Clone)]
pub(super) struct Holding {
    pub lock_key: String,
    pub holder: String,
    pub counter: i64,
}

impl Tx {
    // Leases.

    /// Takes a lease that is free, or that stands at the holding `over`.
    pub(super) async fn take_lease(
        &mut self,
        lock_key: &str,
        holder: &str,
        over: Option<i64>,
        deadline: i64,
    ) -> Result<Option<i64>, Error> {
        self.swap(
            "insert into refresh_leases (lock_key, holder, counter, deadline, released) values ($1, $2, 1, $3, false) \
             on conflict (lock_key) do update set holder = excluded.holder, counter = refresh_leases.counter + 1, \
             deadline = excluded.deadline, released = false \
             where refresh_leases.released or refresh_leases.counter = $4 returning counter",
            vec![
                lock_key.into(),
                holder.into(),
                deadline.into(),
                over.unwrap_or(-1).into(),
            ],
        )
        .await?
        .map(|row| row.get("counter"))
        .transpose()
    }

    /// The holding of a lease now; `None` when it is free.
    pub(super) async fn lease_held(&mut self, lock_key: &str) -> Result<Option<i64>, Error> {
        self.optional(
            "select counter from refresh_leases where lock_key = $1 and not released",
            vec![lock_key.into()],
        )
        .await?
        .map(|row| row.get("counter"))
        .transpose()
    }

    /// Lets go of a holding, if it is still ours, and wakes who waits.
    pub(super) async fn release_lease(&mut self, holding: &Holding) -> Result<(), Error> {
        let done = self
            .execute(
                "update refresh_leases set released = true where lock_key = $1 and holder = $2 and counter = $3",
                vec![
                    (&holding.lock_key).into(),
                    (&holding.holder).into(),
                    holding.counter.into(),
                ],
            )
            .await?;
        if done > 0 {
            self.signal(None, "lease", &holding.lock_key);
        }
        Ok(())
    }

    /// Whether a holding is still ours (locks its row on PostgreSQL).
    pub(super) async fn still_holds(&mut self, holding: &Holding) -> Result<bool, Error> {
        let same = self
            .execute(
                "update refresh_leases set released = false where lock_key = $1 and holder = $2 and counter = $3 and not released",
                vec![
                    (&holding.lock_key).into(),
                    (&holding.holder).into(),
                    holding.counter.into(),
                ],
            )
            .await?;
        Ok(same > 0)
    }

    // Intents and stored answers.

    /// Locks the account's row on PostgreSQL; whether it is linked still. Who
    /// asks for stored answers next sees also the one that somebody is about to
    /// store: its write may take long when its process is stopped.
    pub(super) async fn lock_living(&mut self, account: &str) -> Result<bool, Error> {
        let living = self
            .execute(
                "update accounts set updated_at = updated_at where id = $1 and state <> 'unlinked'",
                vec![account.into()],
            )
            .await?;
        Ok(living > 0)
    }

    /// The newest stored answer that descends from the current refresh token.
    pub(super) async fn candidate(
        &mut self,
        account: &str,
        kind: TokenKind,
        parent: &[u8],
    ) -> Result<Option<CandidateRow>, Error> {
        self.optional(
            "select id, holder, sealed from refresh_candidates where account_id = $1 and token_kind = $2 and parent_hash = $3 \
             and chosen_at is null order by created_at desc, id desc limit 1",
            vec![account.into(), kind.word().into(), parent.into()],
        )
        .await?
        .map(|row| {
            Ok(CandidateRow {
                id: row.get("id")?,
                holder: row.get("holder")?,
                sealed: row.get("sealed")?,
            })
        })
        .transpose()
    }

    /// Whether a call with this refresh token may have been carried out unanswered.
    pub(super) async fn unresolved(
        &mut self,
        account: &str,
        kind: TokenKind,
        parent: &[u8],
    ) -> Result<bool, Error> {
        Ok(self
            .optional(
                "select id from refresh_intents where account_id = $1 and token_kind = $2 and parent_hash = $3 \
                 and (outcome is null or outcome = 'unknown') limit 1",
                vec![account.into(), kind.word().into(), parent.into()],
            )
            .await?
            .is_some())
    }

    /// Ends intents that nobody ended: one, or all of a grant's open ones.
    pub(super) async fn end_intents(
        &mut self,
        account: &str,
        kind: TokenKind,
        only: Option<&str>,
        outcome: &str,
        detail: Option<&str>,
    ) -> Result<(), Error> {
        self.execute(
            "update refresh_intents set outcome = $4, detail = $5, finished_at = $6 \
             where account_id = $1 and token_kind = $2 and outcome is null and ($3 = '' or id = $3)",
            vec![
                account.into(),
                kind.word().into(),
                only.unwrap_or_default().into(),
                outcome.into(),
                Value::from(detail),
                self.now().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Stores an answer. `false` when the account was unlinked meanwhile.
    pub(super) async fn keep_candidate(
        &mut self,
        account: &str,
        kind: TokenKind,
        epoch: i64,
        parent: &[u8],
        (holder, sealed): (&str, &[u8]),
    ) -> Result<bool, Error> {
        if !self.lock_living(account).await? {
            return Ok(false);
        }
        let (id, now) = (self.new_id("cnd"), self.now());
        self.execute(
            "insert into refresh_candidates (id, account_id, token_kind, epoch, parent_hash, sealed, holder, created_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (account_id, token_kind, epoch, parent_hash) \
             do update set sealed = excluded.sealed, holder = excluded.holder, created_at = excluded.created_at, chosen_at = null",
            vec![
                id.into(),
                account.into(),
                kind.word().into(),
                epoch.into(),
                parent.into(),
                sealed.into(),
                holder.into(),
                now.into(),
            ],
        )
        .await?;
        Ok(true)
    }

    /// Marks a stored answer as chosen and drops those chosen before.
    pub(super) async fn settle_candidate(
        &mut self,
        account: &str,
        kind: TokenKind,
        id: &str,
    ) -> Result<(), Error> {
        self.execute(
            "delete from refresh_candidates where account_id = $1 and token_kind = $2 and chosen_at is not null and id <> $3",
            vec![account.into(), kind.word().into(), id.into()],
        )
        .await?;
        self.execute(
            "update refresh_candidates set chosen_at = $2 where id = $1",
            vec![id.into(), self.now().into()],
        )
        .await?;
        Ok(())
    }

    /// Lets go of the lease of a holder whose answer we found stored: its call
    /// is over. Somebody else's, who took it over and asks, stays.
    pub(super) async fn release_dead_lease(
        &mut self,
        lock_key: &str,
        holder: &str,
    ) -> Result<(), Error> {
        let freed = self
            .execute(
                "update refresh_leases set released = true where lock_key = $1 and holder = $2 and not released",
                vec![lock_key.into(), holder.into()],
            )
            .await?;
        if freed > 0 {
            self.signal(None, "lease", lock_key);
        }
        Ok(())
    }
}
