//! Requests for approvals, durable before the answer; the peer's are in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

use super::{Contestant, POSTGRES, SQLITE, interleave, of};
use crate::load::{Caller, Step};
use crate::meter::Result;
use crate::program::Program;
use crate::report::{Figure, Series};
use crate::setting::Setting;
use crate::wire::Answer;
use crate::{attorn, others};

/// Asks for approvals, each with a message of its own.
struct Agent {
    program: Arc<Program>,
    counter: Arc<AtomicU64>,
}

impl Caller for Agent {
    fn next(&mut self) -> Step {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let message = format!("BENCH-{number}");
        let body = self.program.form([
            ("scope", "openid"),
            ("login_hint", &self.program.client.person),
            ("binding_message", &message),
        ]);
        Step::Send(self.program.backchannel, body)
    }

    fn take(&mut self, answer: &Answer) -> std::result::Result<(), String> {
        let right = answer.status == StatusCode::OK && answer.has("\"auth_req_id\"");
        right.then_some(()).ok_or_else(|| answer.name())
    }
}

fn contestant(setting: &Setting, program: Program) -> Contestant<Agent> {
    let (program, counter) = (Arc::new(program), Arc::<AtomicU64>::default());
    let agent = |_| Agent {
        program: program.clone(),
        counter: counter.clone(),
    };
    let callers = (0..setting.connections).map(agent).collect();
    Contestant::new(program, callers)
}

pub async fn run(setting: &Setting) -> Result<(Vec<Figure>, Vec<Series>)> {
    let mut all = vec![
        contestant(setting, others::control(setting)?),
        contestant(setting, others::peer(setting, 0)?),
        contestant(setting, attorn::on_sqlite(setting, SQLITE, 1).await?),
    ];
    if let Some(postgres) = &setting.postgres {
        let program = attorn::on_postgres(setting, postgres, POSTGRES, 1).await?;
        all.push(contestant(setting, program));
    }
    let series = interleave("backchannel", setting, all).await?;
    let (control, peer, sqlite) = (
        of(&series, "control")?,
        of(&series, "peer")?,
        of(&series, SQLITE)?,
    );
    let mut figures = vec![
        Figure::ratio(
            "/bc-authorize, durable on SQLite, over the peer in memory (aim: 0.5)",
            sqlite,
            peer,
            Some(1.0),
        ),
        Figure::ratio(
            "/bc-authorize, durable on SQLite, over the control",
            sqlite,
            control,
            None,
        ),
    ];
    if let Ok(postgres) = of(&series, POSTGRES) {
        figures.push(Figure::ratio(
            "/bc-authorize, durable on PostgreSQL, over the peer in memory",
            postgres,
            peer,
            None,
        ));
    }
    Ok((figures, series))
}
