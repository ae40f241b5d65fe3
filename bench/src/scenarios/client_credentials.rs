//! The client credentials grant with an ES256 access token.

use http::StatusCode;

use super::{Contestant, POSTGRES, SQLITE, interleave, of};
use crate::load::{Caller, Step};
use crate::meter::Result;
use crate::program::{Program, RESOURCE};
use crate::report::{Figure, Series};
use crate::setting::Setting;
use crate::wire::Answer;
use crate::{attorn, others};

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
    let mut all = vec![
        contestant(setting, others::control(setting)?),
        contestant(setting, others::peer(setting, 0)?),
        contestant(setting, attorn::on_sqlite(setting, SQLITE, 1).await?),
    ];
    if let Some(postgres) = &setting.postgres {
        let program = attorn::on_postgres(setting, postgres, POSTGRES, 1).await?;
        all.push(contestant(setting, program));
    }
    let series = interleave("client-credentials", setting, all).await?;
    let (control, peer, sqlite) = (
        of(&series, "control")?,
        of(&series, "peer")?,
        of(&series, SQLITE)?,
    );
    let mut figures = vec![
        Figure::ratio(
            "client_credentials, ES256, SQLite, over the peer",
            sqlite,
            peer,
            Some(0.2),
        ),
        Figure::ratio(
            "client_credentials, ES256, SQLite, over the control",
            sqlite,
            control,
            None,
        ),
    ];
    if let Ok(postgres) = of(&series, POSTGRES) {
        figures.push(Figure::ratio(
            "client_credentials, ES256, PostgreSQL, over the peer",
            postgres,
            peer,
            None,
        ));
    }
    Ok((figures, series))
}
