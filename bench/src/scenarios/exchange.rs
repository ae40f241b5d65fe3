//! A hit in the vault: a refresh token of ours for the living access token of an account at a
//! provider. Attorn opens a sealed row, looks at the permission and has an event on disk before it
//! answers; the peer's custom grant opens a sealed value of its memory.

use http::StatusCode;

use super::{Contestant, SQLITE, interleave, of};
use crate::load::{Caller, Step};
use crate::meter::Result;
use crate::program::Program;
use crate::report::{Figure, Series};
use crate::setting::Setting;
use crate::wire::Answer;
use crate::{attorn, others};

/// The connection of the demo that the account is linked by.
const CONNECTION: &str = "sign-in-with-slack";
const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";

/// Asks the same again and again.
#[derive(Clone)]
pub(super) struct Agent {
    path: &'static str,
    body: String,
}

impl Caller for Agent {
    fn next(&mut self) -> Step {
        Step::Send(self.path, self.body.clone())
    }

    fn take(&mut self, answer: &Answer) -> std::result::Result<(), String> {
        let right = answer.status == StatusCode::OK && answer.has("\"access_token\":\"xox");
        right.then_some(()).ok_or_else(|| answer.name())
    }
}

/// Whoever has the first refresh token of this program.
pub(super) fn agent(program: &Program) -> Result<Agent> {
    let subject = program.refresh_tokens.first();
    let subject = subject.ok_or_else(|| format!("{} has no refresh token", program.name))?;
    let body = program.form([
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("subject_token_type", REFRESH_TOKEN),
        ("subject_token", subject),
        ("connection", CONNECTION),
    ]);
    Ok(Agent {
        path: program.token,
        body,
    })
}

fn contestant(setting: &Setting, program: Program) -> Result<Contestant<Agent>> {
    let callers = vec![agent(&program)?; setting.connections];
    Ok(Contestant::new(program, callers))
}

pub async fn run(setting: &Setting) -> Result<(Vec<Figure>, Vec<Series>)> {
    let programs = [
        others::control(setting)?,
        others::peer(setting, 1)?,
        attorn::demo(setting, SQLITE).await?,
    ];
    let all: Result<Vec<_>> = programs
        .into_iter()
        .map(|program| contestant(setting, program))
        .collect();
    let series = interleave("exchange", setting, all?).await?;
    let (control, peer, sqlite) = (
        of(&series, "control")?,
        of(&series, "peer")?,
        of(&series, SQLITE)?,
    );
    let what = "audited hit in the vault, SQLite, over the";
    let figures = vec![
        Figure::ratio(
            &format!("{what} control (aim: 2.5)"),
            sqlite,
            control,
            Some(4.0),
        ),
        Figure::ratio(
            &format!("{what} peer's custom grant (aim: 0.17)"),
            sqlite,
            peer,
            Some(0.25),
        ),
    ];
    Ok((figures, series))
}
