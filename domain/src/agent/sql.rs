//! The SQL of runs and steps as pages read them.

use std::collections::HashMap;

use super::runs::{Run, Step};
use crate::storage::{Error, Json, Row, Tx};

const RUN: &str = "select id, person_id, prompt, plan, state, waiting_for, answer, created_at, updated_at, finished_at \
                   from runs where id = $1";

fn run_from(row: &Row) -> Result<Run, Error> {
    Ok(Run {
        id: row.get("id")?,
        person_id: row.get("person_id")?,
        prompt: row.get("prompt")?,
        plan: row.json("runs", "plan")?,
        state: row.word("runs", "state")?,
        waiting_for: row.json_option("runs", "waiting_for")?,
        steps: Vec::new(),
        answer: row.json_option("runs", "answer")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        finished_at: row.get("finished_at")?,
    })
}

fn step_from(row: &Row) -> Result<Step, Error> {
    Ok(Step {
        position: row.get("position")?,
        tool: row.get("tool")?,
        words: row.get("input")?,
        state: row.word("steps", "state")?,
        output: row.get("output")?,
        approval_id: row.get("approval_id")?,
        started_at: row.get("started_at")?,
        finished_at: row.get("finished_at")?,
    })
}

impl Tx {
    pub(super) async fn insert_run(&mut self, run: &Run) -> Result<(), Error> {
        self.execute(
            "insert into runs (id, person_id, prompt, plan, state, created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7)",
            vec![
                (&run.id).into(),
                (&run.person_id).into(),
                (&run.prompt).into(),
                Json(&run.plan).into(),
                run.state.word().into(),
                run.created_at.into(),
                run.updated_at.into(),
            ],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn run(&mut self, id: &str) -> Result<Option<Run>, Error> {
        let Some(row) = self.optional(RUN, vec![id.into()]).await? else {
            return Ok(None);
        };
        let mut run = run_from(&row)?;
        let sql = "select run_id as id, position, tool, input, state, output, approval_id, started_at, finished_at \
                   from steps where run_id = $1 order by position limit 100";
        let steps = self.all(sql, vec![id.into()]).await?;
        run.steps = steps.iter().map(step_from).collect::<Result<_, _>>()?;
        Ok(Some(run))
    }

    pub(super) async fn runs_of(&mut self, person_id: &str, limit: i64) -> Result<Vec<Run>, Error> {
        let sql = "select id, person_id, prompt, plan, state, waiting_for, answer, created_at, updated_at, finished_at \
                   from runs where person_id = $1 order by created_at desc, id desc limit $2";
        let rows = self.all(sql, vec![person_id.into(), limit.into()]).await?;
        let mut runs = rows.iter().map(run_from).collect::<Result<Vec<_>, _>>()?;
        let sql = "select run_id as id, position, tool, input, state, output, approval_id, started_at, finished_at \
                   from steps where run_id in (select id from runs where person_id = $1 \
                   order by created_at desc, id desc limit $2) order by run_id, position limit 2000";
        let mut steps: HashMap<String, Vec<Step>> = HashMap::new();
        for row in self.all(sql, vec![person_id.into(), limit.into()]).await? {
            steps
                .entry(row.get("id")?)
                .or_default()
                .push(step_from(&row)?);
        }
        for run in &mut runs {
            run.steps = steps.remove(&run.id).unwrap_or_default();
        }
        Ok(runs)
    }
}
