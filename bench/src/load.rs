//! The load: callers that each have a connection of their own and send the next request when the
//! last one was answered (closed loop), for as long as it takes to read a server's CPU clock
//! before and after.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use http::{Method, header};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::meter::{self, Result};
use crate::program::Program;
use crate::wire::{Answer, Connection};

/// What a caller does next.
pub enum Step {
    /// Post this body there.
    Send(&'static str, String),
    /// Nothing before that moment.
    Wait(Instant),
    /// It has done all it was to do.
    Rest,
}

/// One caller: makes each request anew, and says whether the answer was right. It is kept from round to
/// round, so that it can go on where it stopped.
pub trait Caller: Send + 'static {
    /// What to do next.
    fn next(&mut self) -> Step;

    /// What its requests say in `Authorization`.
    fn authorization(&self) -> Option<&str> {
        None
    }

    /// Takes the answer.
    ///
    /// # Errors
    /// What is wrong with it, in a word or two: it is counted under that name.
    fn take(&mut self, answer: &Answer) -> std::result::Result<(), String>;
}

/// How the answers were that were not right, by name.
pub type Wrong = BTreeMap<String, u64>;

/// What one round on one program gave.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// Right answers.
    pub answered: u64,
    /// Others.
    pub wrong: Wrong,
    /// Seconds measured.
    pub seconds: f64,
    /// CPU time of the program, microseconds per answer.
    pub cpu_us: f64,
    /// CPU time of the database server that it talks to, microseconds per answer.
    pub database_cpu_us: Option<f64>,
    /// Median latency, microseconds.
    pub p50_us: u64,
    /// 99 of 100 answers came within it, microseconds.
    pub p99_us: u64,
}

impl Round {
    /// CPU time per answer of everything that worked for it.
    pub fn total_us(&self) -> f64 {
        self.cpu_us + self.database_cpu_us.unwrap_or(0.0)
    }
}

/// Latencies up to a minute, to three digits.
pub fn latencies() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000, 3).map_err(|error| error.to_string())
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    measuring: AtomicBool,
    answered: AtomicU64,
}

struct Ended<C> {
    caller: C,
    wrong: Wrong,
    latency: Histogram<u64>,
}

/// Lets all callers call `program` for `warm` and then for `measure`, and gives them back.
///
/// # Errors
/// When a connection fails, or nothing at all was answered.
pub async fn closed_loop<C: Caller>(
    program: &Program,
    callers: Vec<C>,
    warm: Duration,
    measure: Duration,
) -> Result<(Vec<C>, Round)> {
    let shared = Arc::new(Shared::default());
    let mut calling = JoinSet::new();
    for caller in callers {
        let connection = Connection::open(program.address, &program.host).await?;
        calling.spawn(call(connection, caller, shared.clone()));
    }
    tokio::time::sleep(warm).await;
    let before = Reading::of(program)?;
    shared.measuring.store(true, Ordering::Relaxed);
    let answered_before = shared.answered.load(Ordering::Relaxed);
    let begun = Instant::now();
    tokio::time::sleep(measure).await;
    let answered = shared.answered.load(Ordering::Relaxed) - answered_before;
    shared.measuring.store(false, Ordering::Relaxed);
    let after = Reading::of(program)?;
    let seconds = begun.elapsed().as_secs_f64();
    shared.stop.store(true, Ordering::Relaxed);

    let (mut callers, mut wrong, mut latency) = (Vec::new(), Wrong::new(), latencies()?);
    while let Some(ended) = calling.join_next().await {
        let ended = ended.map_err(|error| error.to_string())??;
        callers.push(ended.caller);
        for (name, count) in ended.wrong {
            *wrong.entry(name).or_default() += count;
        }
        latency
            .add(ended.latency)
            .map_err(|error| error.to_string())?;
    }
    if answered == 0 {
        return Err(format!(
            "{} answered nothing right: {wrong:?}",
            program.name
        ));
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / answered as f64;
    let round = Round {
        answered,
        wrong,
        seconds,
        cpu_us: each(after.own - before.own),
        database_cpu_us: after
            .database
            .zip(before.database)
            .map(|(after, before)| each(after - before)),
        p50_us: latency.value_at_quantile(0.5),
        p99_us: latency.value_at_quantile(0.99),
    };
    Ok((callers, round))
}

/// Lets all callers call until each rests, and gives them back.
///
/// # Errors
/// When a connection fails, or an answer is not right.
pub async fn until_done<C: Caller>(program: &Program, callers: Vec<C>) -> Result<Vec<C>> {
    let shared = Arc::new(Shared::default());
    let mut calling = JoinSet::new();
    for caller in callers {
        let connection = Connection::open(program.address, &program.host).await?;
        calling.spawn(call(connection, caller, shared.clone()));
    }
    let mut callers = Vec::new();
    while let Some(ended) = calling.join_next().await {
        let ended = ended.map_err(|error| error.to_string())??;
        if !ended.wrong.is_empty() {
            return Err(format!("{}: {:?}", program.name, ended.wrong));
        }
        callers.push(ended.caller);
    }
    Ok(callers)
}

async fn call<C: Caller>(
    mut connection: Connection,
    mut caller: C,
    shared: Arc<Shared>,
) -> Result<Ended<C>> {
    let (mut wrong, mut latency) = (Wrong::new(), latencies()?);
    while !shared.stop.load(Ordering::Relaxed) {
        let (path, body) = match caller.next() {
            Step::Send(path, body) => (path, body),
            Step::Wait(until) => {
                tokio::time::sleep_until(until.into()).await;
                continue;
            }
            Step::Rest => break,
        };
        let begun = Instant::now();
        let authorization = caller.authorization().map(str::to_owned);
        let headers = authorization.map(|value| (header::AUTHORIZATION, value));
        let answer = connection
            .send(Method::POST, path, headers.as_slice(), body)
            .await?;
        match caller.take(&answer) {
            Ok(()) => {
                shared.answered.fetch_add(1, Ordering::Relaxed);
                if shared.measuring.load(Ordering::Relaxed) {
                    latency.saturating_record(micros(begun.elapsed()));
                }
            }
            Err(name) => *wrong.entry(name).or_default() += 1,
        }
    }
    Ok(Ended {
        caller,
        wrong,
        latency,
    })
}

/// Whole microseconds.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The CPU clocks of a program.
pub struct Reading {
    /// Its own.
    pub own: Duration,
    /// Its database server's.
    pub database: Option<Duration>,
}

impl Reading {
    /// Reads them.
    pub fn of(program: &Program) -> Result<Self> {
        Ok(Self {
            own: meter::cpu(program.pid)?,
            database: program.database_pid.map(meter::cpu_of_family).transpose()?,
        })
    }
}
