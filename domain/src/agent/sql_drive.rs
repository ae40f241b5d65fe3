//! The SQL that moves runs on: leases, steps, waiting, ending.

use super::runs::{Answer, Run, RunState, StepState, WaitingFor};
use crate::audit::{Event, Kind};
use crate::storage::{Error, Json, Tx};

impl Tx {
    /// Takes a run that is not over for this holder until `until`; `None` if
    /// another has it.
    pub(super) async fn lease_run(
        &mut self,
        id: &str,
        holder: &str,
        until: i64,
    ) -> Result<bool, Error> {
        let now = self.now();
        let row = self
            .swap(
                "update runs set holder = $1, lease_until = $2 where id = $3 and finished_at is null \
                 and (holder is null or holder = $1 or lease_until < $4) returning id",
                vec![holder.into(), until.into(), id.into(), now.into()],
            )
            .await?;
        Ok(row.is_some())
    }

    /// Forgets leases: all of them, or those of earlier starts of one instance.
    pub(super) async fn forget_leases(&mut self, instance: Option<&str>) -> Result<(), Error> {
        let Some(instance) = instance else {
            let sql = "update runs set holder = null, lease_until = null where holder is not null";
            self.execute(sql, vec![]).await?;
            return Ok(());
        };
        // A name may hold any character, so it is compared, not matched as a pattern.
        let prefix = format!("{instance}/");
        let length = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
        self.execute(
            "update runs set holder = null, lease_until = null where holder is not null \
             and substr(holder, 1, cast($1 as integer)) = $2",
            vec![length.into(), prefix.into()],
        )
        .await?;
        Ok(())
    }

    /// Lets a run go without changing where it stands.
    pub(super) async fn release_run(&mut self, id: &str, holder: &str) -> Result<(), Error> {
        self.execute(
            "update runs set holder = null, lease_until = null where id = $1 and holder = $2",
            vec![id.into(), holder.into()],
        )
        .await?;
        Ok(())
    }

    /// Begins a step, or the same step again; renews the lease. `false` if the
    /// run is over or another has it: then nothing may be done.
    pub(super) async fn begin_step(
        &mut self,
        run: &Run,
        holder: &str,
        until: i64,
        step: (i64, &str, &str),
    ) -> Result<bool, Error> {
        let now = self.now();
        let (position, tool, words) = step;
        let mine = self
            .swap(
                "update runs set state = 'running', waiting_for = null, lease_until = $1, updated_at = $2 \
                 where id = $3 and holder = $4 and finished_at is null returning id",
                vec![until.into(), now.into(), (&run.id).into(), holder.into()],
            )
            .await?;
        if mine.is_none() {
            return Ok(false);
        }
        self.execute(
            "insert into steps (run_id, position, tool, input, state, started_at) values ($1, $2, $3, $4, 'running', $5) \
             on conflict (run_id, position) do update set tool = excluded.tool, input = excluded.input, \
             state = 'running', output = null, finished_at = null",
            vec![
                (&run.id).into(),
                position.into(),
                tool.into(),
                words.into(),
                now.into(),
            ],
        )
        .await?;
        self.signal(Some(&run.person_id), "run", &run.id);
        Ok(true)
    }

    /// Ends a step, or lets it wait; `false` if the run is not this holder's
    /// any more: then nothing is changed.
    pub(super) async fn end_step(
        &mut self,
        run: &Run,
        holder: &str,
        position: i64,
        state: StepState,
        output: Option<&str>,
    ) -> Result<bool, Error> {
        let now = self.now();
        let finished = (!matches!(state, StepState::Running | StepState::Waiting)).then_some(now);
        let ended = self
            .execute(
                "update steps set state = $1, output = $2, finished_at = $3 where run_id = $4 and position = $5 \
                 and exists (select 1 from runs where id = $4 and holder = $6 and finished_at is null)",
                vec![
                    state.word().into(),
                    output.into(),
                    finished.into(),
                    (&run.id).into(),
                    position.into(),
                    holder.into(),
                ],
            )
            .await?;
        self.signal(Some(&run.person_id), "run", &run.id);
        Ok(ended == 1)
    }

    /// Keeps what a step asked for: the approval's public id and, sealed, the
    /// credential to poll with.
    pub(super) async fn keep_request(
        &mut self,
        run_id: &str,
        position: i64,
        approval_id: &str,
        auth_req_sealed: Vec<u8>,
    ) -> Result<(), Error> {
        self.execute(
            "update steps set approval_id = $1, auth_req_sealed = $2 where run_id = $3 and position = $4",
            vec![
                approval_id.into(),
                auth_req_sealed.into(),
                run_id.into(),
                position.into(),
            ],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn request_of(
        &mut self,
        run_id: &str,
        position: i64,
    ) -> Result<Option<Vec<u8>>, Error> {
        let sql = "select auth_req_sealed from steps where run_id = $1 and position = $2";
        let row = self
            .optional(sql, vec![run_id.into(), position.into()])
            .await?;
        row.map_or(Ok(None), |row| row.get("auth_req_sealed"))
    }

    /// Lets a run wait; gives the lease back.
    pub(super) async fn park_run(
        &mut self,
        run: &Run,
        holder: &str,
        waiting_for: &WaitingFor,
    ) -> Result<(), Error> {
        let now = self.now();
        let parked = self
            .swap(
                "update runs set state = $1, waiting_for = $2, updated_at = $3, holder = null, lease_until = null \
                 where id = $4 and holder = $5 and finished_at is null returning id",
                vec![
                    waiting_for.kind.state().word().into(),
                    Json(waiting_for).into(),
                    now.into(),
                    (&run.id).into(),
                    holder.into(),
                ],
            )
            .await?;
        if parked.is_some() {
            self.execute(
                "update steps set state = 'waiting' where run_id = $1 and state = 'running'",
                vec![(&run.id).into()],
            )
            .await?;
            self.signal(Some(&run.person_id), "run", &run.id);
        }
        Ok(())
    }

    /// Ends a run (of this holder, if one is named) and records it; the
    /// person's id, or `None` if it was over or is another's.
    pub(super) async fn end_run(
        &mut self,
        id: &str,
        holder: Option<&str>,
        state: RunState,
        answer: &Answer,
    ) -> Result<Option<String>, Error> {
        let now = self.now();
        let ended = self
            .swap(
                "update runs set state = $1, answer = $2, waiting_for = null, updated_at = $3, finished_at = $3, \
                 holder = null, lease_until = null where id = $4 and finished_at is null \
                 and ($5 is null or holder = $5) returning person_id",
                vec![
                    state.word().into(),
                    Json(answer).into(),
                    now.into(),
                    id.into(),
                    holder.into(),
                ],
            )
            .await?;
        let Some(row) = ended else {
            return Ok(None);
        };
        // A step that stood still ends with its run.
        self.execute(
            "update steps set state = 'failed', finished_at = $1 where run_id = $2 and state in ('running', 'waiting')",
            vec![now.into(), id.into()],
        )
        .await?;
        let person: String = row.get("person_id")?;
        self.record(
            Event::new(Kind::RunEnded)
                .person(&person)
                .run(id)
                .data("state", state.word()),
        );
        self.signal(Some(&person), "run", id);
        Ok(Some(person))
    }

    /// A person's runs that wait for a decision, or for anything else, and those
    /// under way: they may be about to wait for what has just come.
    pub(super) async fn runs_to_wake(
        &mut self,
        person_id: &str,
        for_approval: bool,
    ) -> Result<Vec<String>, Error> {
        let sql = if for_approval {
            "select id from runs where person_id = $1 and state in ('running', 'waiting_approval') limit 200"
        } else {
            "select id from runs where person_id = $1 \
             and state in ('running', 'waiting_consent', 'waiting_account', 'waiting_permission') limit 200"
        };
        let rows = self.all(sql, vec![person_id.into()]).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// Runs that nobody is at work on: under way, or waiting for a decision.
    pub(super) async fn idle_runs(&mut self, everything: bool) -> Result<Vec<String>, Error> {
        let now = self.now();
        let sql = if everything {
            "select id from runs where state in ('running', 'waiting_approval', 'waiting_consent', 'waiting_account', \
             'waiting_permission') and (holder is null or lease_until < $1) order by updated_at limit 500"
        } else {
            "select id from runs where state in ('running', 'waiting_approval') \
             and (holder is null or lease_until < $1) order by updated_at limit 500"
        };
        let rows = self.all(sql, vec![now.into()]).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// Runs that have waited for the person since before `before`.
    pub(super) async fn forgotten_runs(&mut self, before: i64) -> Result<Vec<String>, Error> {
        let sql = "select id from runs where state in ('waiting_consent', 'waiting_account', 'waiting_permission') \
                   and created_at < $1 limit 200";
        let rows = self.all(sql, vec![before.into()]).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }
}
