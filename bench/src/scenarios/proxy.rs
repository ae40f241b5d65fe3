//! Calls through the proxy, a kilobyte each way, beside a reverse proxy of hyper alone; and what
//! long bodies do to the memory. Attorn looks at the token and at the permission, has an event on
//! disk before anything comes back, and looks for its credential in the answer.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::{Contestant, SQLITE, interleave, of, say};
use crate::load::{Caller, Step};
use crate::meter::{self, Result};
use crate::program::Program;
use crate::report::{Figure, Series};
use crate::setting::Setting;
use crate::upstream::MIB;
use crate::wire::{self, Answer};
use crate::{attorn, others};

const SMALL: &str = "/proxy/github/small";
/// How long a long body is, in MiB.
const LONG: u64 = 1024;
/// How much memory a long body may take, in bytes: what is on its way, and what allocators keep.
const ROOM: u64 = 32 * MIB;

/// Sends a kilobyte again and again.
struct Agent {
    authorization: String,
    body: String,
}

impl Caller for Agent {
    fn next(&mut self) -> Step {
        Step::Send(SMALL, self.body.clone())
    }

    fn authorization(&self) -> Option<&str> {
        Some(&self.authorization)
    }

    fn take(&mut self, answer: &Answer) -> std::result::Result<(), String> {
        let right = answer.status == StatusCode::OK && answer.has("\"took\":1024");
        right.then_some(()).ok_or_else(|| answer.name())
    }
}

fn contestant(setting: &Setting, program: Arc<Program>, token: &str) -> Contestant<Agent> {
    let agent = || Agent {
        authorization: format!("Bearer {token}"),
        body: "x".repeat(1024),
    };
    let callers = (0..setting.connections).map(|_| agent()).collect();
    Contestant::new(program, callers)
}

pub async fn run(setting: &Setting) -> Result<(Vec<Figure>, Vec<Series>)> {
    let upstream = others::upstream(setting)?;
    let control = Arc::new(others::reverse_proxy(setting, &upstream)?);
    let (sqlite, token) = attorn::linked(setting, SQLITE, &upstream).await?;
    let sqlite = Arc::new(sqlite);
    let all = vec![
        contestant(setting, control, "not-looked-at"),
        contestant(setting, sqlite.clone(), &token),
    ];
    let series = interleave("proxy", setting, all).await?;
    let mut figures = vec![Figure::ratio(
        "call through the proxy, 1 KB each way, SQLite, over a plain reverse proxy",
        of(&series, SQLITE)?,
        of(&series, "control")?,
        Some(1.5),
    )];
    for up in [false, true] {
        figures.push(long(&sqlite, &token, up).await?);
    }
    Ok((figures, series))
}

/// A long body, down from the provider or up to it, and the most memory meanwhile.
async fn long(program: &Program, token: &str, up: bool) -> Result<Figure> {
    let before = meter::memory(program.pid)?;
    say(format!("{LONG} MiB {}", if up { "up" } else { "down" }));
    let authorization = format!("Bearer {token}");
    let passing = async {
        if up {
            wire::upload(program, "/proxy/github/take", &authorization, LONG).await
        } else {
            let path = format!("/proxy/github/long/{LONG}");
            wire::download(program, &path, &authorization).await
        }
    };
    let mut most = before;
    let watching = async {
        loop {
            most = most.max(meter::memory(program.pid)?);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let came = tokio::select! {
        came = passing => came?,
        failed = watching => return failed,
    };
    if came != LONG * MIB {
        return Err(format!("{came} bytes came instead of {LONG} MiB"));
    }
    let after = meter::memory(program.pid)?;
    let whole = |bytes: u64| bytes / 1_000_000;
    let grown = most.saturating_sub(before);
    Ok(Figure::said(
        &format!(
            "{LONG} MiB {} the proxy: memory",
            if up { "up through" } else { "down through" }
        ),
        format!(
            "{} MB more: {} MB before, {} MB at most, {} MB after",
            whole(grown),
            whole(before),
            whole(most),
            whole(after)
        ),
        &format!("≤ {} MB more", whole(ROOM)),
        Some(grown <= ROOM),
    ))
}
