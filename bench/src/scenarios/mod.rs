//! What is measured. A scenario starts the programs it needs, lets the same callers call each in
//! turn, and says its figures. A further one is a file here, a line in [`ALL`] and an arm in [`run`].

mod backchannel;
mod client_credentials;
mod decided;
mod exchange;
mod pending;
mod poll;
mod polled;
mod proxy;
mod refresh;
mod syncs;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::load::{Caller, Round, closed_loop};
use crate::meter::Result;
use crate::profile::Recording;
use crate::program::Program;
use crate::report::{Figure, Outcome, Series};
use crate::setting::Setting;
use crate::{attorn, others};

/// Every scenario: its name, and what it is.
pub const ALL: [(&str, &str); 9] = [
    (
        "client-credentials",
        "a client asks for an ES256 access token on its own behalf",
    ),
    (
        "backchannel",
        "a client asks for an approval at /bc-authorize; durable before the answer",
    ),
    (
        "refresh",
        "a refresh token is traded for the next one and an ES256 access token; durable before the answer",
    ),
    (
        "exchange",
        "a refresh token of ours is traded for the living token of a linked account; audited before the answer",
    ),
    (
        "proxy",
        "a call through the proxy, a kilobyte each way, audited; and bodies of a gibibyte",
    ),
    ("syncs", "how often audited hits wait for the disk"),
    (
        "poll",
        "a client polls for an approval that nobody has decided",
    ),
    (
        "polled",
        "many pending approvals, each polled every five seconds, in an open loop",
    ),
    (
        "decided",
        "a request is pushed to a browser, approved, and answered to the poll that waits",
    ),
];

/// Runs one.
///
/// # Errors
/// A sentence.
pub async fn run(name: &str, setting: &Setting) -> Result<Outcome> {
    let (figures, series) = match name {
        "client-credentials" => client_credentials::run(setting).await?,
        "backchannel" => backchannel::run(setting).await?,
        "refresh" => refresh::run(setting).await?,
        "exchange" => exchange::run(setting).await?,
        "proxy" => proxy::run(setting).await?,
        "syncs" => syncs::run(setting).await?,
        "poll" => poll::run(setting).await?,
        "polled" => polled::run(setting).await?,
        "decided" => decided::run(setting).await?,
        other => return Err(format!("there is no scenario {other}")),
    };
    let about = ALL
        .iter()
        .find(|(known, _)| *known == name)
        .map_or("", |(_, about)| about);
    Ok(Outcome {
        scenario: name.to_owned(),
        about: about.to_owned(),
        figures,
        series,
    })
}

/// Says what happens; a long silence looks like a hang.
pub fn say(what: impl AsRef<str>) {
    eprintln!("    {}", what.as_ref());
}

/// A program with those who call it.
struct Contestant<C> {
    name: String,
    program: Arc<Program>,
    callers: Vec<C>,
    rounds: Vec<Round>,
}

impl<C: Caller> Contestant<C> {
    fn new(program: impl Into<Arc<Program>>, callers: Vec<C>) -> Self {
        let program = program.into();
        Self {
            name: program.name.to_owned(),
            program,
            callers,
            rounds: Vec::new(),
        }
    }

    fn named(self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self
        }
    }

    async fn round(&mut self, warm: Duration, measure: Duration) -> Result<Round> {
        let callers = std::mem::take(&mut self.callers);
        let (callers, round) = closed_loop(&self.program, callers, warm, measure).await?;
        self.callers = callers;
        Ok(round)
    }
}

/// Lets each be called in turn, as often as the setting says, after one turn that does not count:
/// caches fill and compilers of the running kind do their work.
async fn interleave<C: Caller>(
    scenario: &str,
    setting: &Setting,
    mut contestants: Vec<Contestant<C>>,
) -> Result<Vec<Series>> {
    for contestant in &mut contestants {
        say(format!("warming up: {}", contestant.name));
        let second = Duration::from_secs(1);
        contestant.round(setting.warm_up, second).await?;
    }
    for repeat in 1..=setting.repeats {
        for contestant in &mut contestants {
            let round = contestant.round(setting.warm, setting.measure).await?;
            say(format!(
                "round {repeat} of {}: {}: {:.1} µs, {:.0}/s{}",
                setting.repeats,
                contestant.name,
                round.total_us(),
                round.answered as f64 / round.seconds,
                if round.wrong.is_empty() {
                    String::new()
                } else {
                    format!(", other answers: {:?}", round.wrong)
                }
            ));
            contestant.rounds.push(round);
        }
    }
    if let Some(folder) = &setting.profiles {
        for contestant in &mut contestants {
            if contestant.name.starts_with("Attorn") {
                profile(setting, scenario, contestant, folder).await?;
            }
        }
    }
    Ok(contestants
        .into_iter()
        .map(|contestant| Series {
            program: contestant.name,
            rounds: contestant.rounds,
        })
        .collect())
}

/// One more round, with a look at where the time goes.
async fn profile<C: Caller>(
    setting: &Setting,
    scenario: &str,
    contestant: &mut Contestant<C>,
    folder: &Path,
) -> Result<()> {
    let length = Duration::from_secs(8);
    let scratch = setting.folder("profile")?;
    let recording = Recording::start(&contestant.program, &scratch, length)?;
    contestant.round(setting.warm, length).await?;
    let plain = |text: &str| {
        let keep = |letter: char| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        };
        let kept: String = text.to_lowercase().chars().map(keep).collect();
        let words = kept.split('-').filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-")
    };
    let name = format!("profile-{scenario}-{}.txt", plain(&contestant.name));
    say(format!("{name}: where the time goes"));
    recording.write(&folder.join(name))
}

/// The names of the programs in the report.
const SQLITE: &str = "Attorn, SQLite";
const POSTGRES: &str = "Attorn, PostgreSQL";

/// The control, the peer, and Attorn on each database there is, with so many refresh tokens each.
async fn programs(setting: &Setting, chains: usize) -> Result<Vec<Program>> {
    let mut programs = vec![
        others::control(setting)?,
        others::peer(setting, chains)?,
        attorn::on_sqlite(setting, SQLITE, chains).await?,
    ];
    if let Some(postgres) = &setting.postgres {
        programs.push(attorn::on_postgres(setting, postgres, POSTGRES, chains).await?);
    }
    Ok(programs)
}

/// What is said of those: against the peer, at most `target`, and against the control.
fn figures(what: &str, series: &[Series], target: f64, aim: &str) -> Result<Vec<Figure>> {
    let (control, peer, sqlite) = (
        of(series, "control")?,
        of(series, "peer")?,
        of(series, SQLITE)?,
    );
    let mut figures = vec![
        Figure::ratio(
            &format!("{what}, SQLite, over the peer{aim}"),
            sqlite,
            peer,
            Some(target),
        ),
        Figure::ratio(
            &format!("{what}, SQLite, over the control"),
            sqlite,
            control,
            None,
        ),
    ];
    if let Ok(postgres) = of(series, POSTGRES) {
        let what = format!("{what}, PostgreSQL, over the peer");
        figures.push(Figure::ratio(&what, postgres, peer, None));
    }
    Ok(figures)
}

/// The series of this name.
fn of<'a>(series: &'a [Series], name: &str) -> Result<&'a Series> {
    series
        .iter()
        .find(|series| series.program == name)
        .ok_or_else(|| format!("{name} was not measured"))
}
