//! Requests for approvals, durable before the answer; the peer's are in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

use super::{Contestant, figures, interleave, programs};
use crate::load::{Caller, Step};
use crate::meter::Result;
use crate::program::Program;
use crate::report::{Figure, Series};
use crate::setting::Setting;
use crate::wire::Answer;

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
    let programs = programs(setting, 1).await?.into_iter();
    let all = programs.map(|program| contestant(setting, program));
    let series = interleave("backchannel", setting, all.collect()).await?;
    let figures = figures("durable /bc-authorize", &series, 1.0, " (aim: 0.5)")?;
    Ok((figures, series))
}
