//! The client credentials grant with an ES256 access token.

use http::StatusCode;

use super::{Contestant, figures, interleave, programs};
use crate::load::{Caller, Step};
use crate::meter::Result;
use crate::program::{Program, RESOURCE};
use crate::report::{Figure, Series};
use crate::setting::Setting;
use crate::wire::Answer;

/// Asks the same again and again: the answers differ.
struct Client {
    path: &'static str,
    body: String,
}

impl Caller for Client {
    fn next(&mut self) -> Step {
        Step::Send(self.path, self.body.clone())
    }

    fn take(&mut self, answer: &Answer) -> std::result::Result<(), String> {
        let right = answer.status == StatusCode::OK && answer.has("\"access_token\"");
        right.then_some(()).ok_or_else(|| answer.name())
    }
}

fn contestant(setting: &Setting, program: Program) -> Contestant<Client> {
    let client = || Client {
        path: program.token,
        body: program.form([("grant_type", "client_credentials"), ("resource", RESOURCE)]),
    };
    let callers = (0..setting.connections).map(|_| client()).collect();
    Contestant::new(program, callers)
}

pub async fn run(setting: &Setting) -> Result<(Vec<Figure>, Vec<Series>)> {
    let programs = programs(setting, 1).await?.into_iter();
    let all = programs.map(|program| contestant(setting, program));
    let series = interleave("client-credentials", setting, all.collect()).await?;
    let figures = figures("client_credentials with an ES256 token", &series, 0.2, "")?;
    Ok((figures, series))
}
