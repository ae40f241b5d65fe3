//! Refresh with rotation, durable before the answer; the peer's is in memory. Every caller holds a
//! chain of its own and presents the newest token of it.

use std::sync::Arc;

use http::StatusCode;

use super::{Contestant, SQLITE, figures, interleave, of, programs};
use crate::load::{Caller, Step};
use crate::meter::Result;
use crate::program::Program;
use crate::report::{Figure, Series};
use crate::setting::Setting;
use crate::wire::Answer;

struct Chain {
    program: Arc<Program>,
    token: String,
}

impl Caller for Chain {
    fn next(&mut self) -> Step {
        let body = self.program.form([
            ("grant_type", "refresh_token"),
            ("refresh_token", self.token.as_str()),
        ]);
        Step::Send(self.program.token, body)
    }

    fn take(&mut self, answer: &Answer) -> std::result::Result<(), String> {
        match answer.text("refresh_token") {
            Some(next) if answer.status == StatusCode::OK => {
                self.token = next;
                Ok(())
            }
            _ => Err(answer.name()),
        }
    }
}

fn contestant(setting: &Setting, mut program: Program) -> Result<Contestant<Chain>> {
    let tokens = std::mem::take(&mut program.refresh_tokens);
    if tokens.len() < setting.connections {
        return Err(format!("{} has too few refresh tokens", program.name));
    }
    let program = Arc::new(program);
    let chain = |token| Chain {
        program: program.clone(),
        token,
    };
    let callers = tokens
        .into_iter()
        .take(setting.connections)
        .map(chain)
        .collect();
    Ok(Contestant::new(program, callers))
}

pub async fn run(setting: &Setting) -> Result<(Vec<Figure>, Vec<Series>)> {
    let programs = programs(setting, setting.connections).await?.into_iter();
    let all: Result<Vec<_>> = programs
        .map(|program| contestant(setting, program))
        .collect();
    let series = interleave("refresh", setting, all?).await?;
    let what = "durable refresh with rotation";
    let mut figures = figures(what, &series, 1.0, " (aim: 0.33)")?;
    figures.extend(Figure::growth(
        &format!("{what}, SQLite, the last round over the first"),
        of(&series, SQLITE)?,
    ));
    Ok((figures, series))
}
