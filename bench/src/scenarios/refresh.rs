//! Refresh with rotation, durable before the answer; the peer's is in memory. Every caller holds a
//! chain of its own and presents the newest token of it.

use std::sync::Arc;

use http::StatusCode;

use super::{Contestant, POSTGRES, SQLITE, interleave, of};
use crate::load::{Caller, Step};
use crate::meter::Result;
use crate::program::Program;
use crate::report::{Figure, Series};
use crate::setting::Setting;
use crate::wire::Answer;
use crate::{attorn, others};

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
    let chains = setting.connections;
    let mut all = vec![
        contestant(setting, others::control(setting)?)?,
        contestant(setting, others::peer(setting, chains)?)?,
        contestant(setting, attorn::on_sqlite(setting, SQLITE, chains).await?)?,
    ];
    if let Some(postgres) = &setting.postgres {
        let program = attorn::on_postgres(setting, postgres, POSTGRES, chains).await?;
        all.push(contestant(setting, program)?);
    }
    let series = interleave("refresh", setting, all).await?;
    let (control, peer, sqlite) = (
        of(&series, "control")?,
        of(&series, "peer")?,
        of(&series, SQLITE)?,
    );
    let mut figures = vec![
        Figure::ratio(
            "refresh with rotation, durable on SQLite, over the peer in memory (aim: 0.33)",
            sqlite,
            peer,
            Some(1.0),
        ),
        Figure::ratio(
            "refresh with rotation, durable on SQLite, over the control",
            sqlite,
            control,
            None,
        ),
    ];
    figures.extend(Figure::growth(
        "refresh with rotation, SQLite, the last round over the first",
        sqlite,
    ));
    if let Ok(postgres) = of(&series, POSTGRES) {
        figures.push(Figure::ratio(
            "refresh with rotation, durable on PostgreSQL, over the peer in memory",
            postgres,
            peer,
            None,
        ));
    }
    Ok((figures, series))
}
