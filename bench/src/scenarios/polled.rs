//! Many pending approvals, each polled every five seconds: an open loop. Every poll has a moment at
//! which it is due, and its latency counts from then, however late it was sent: a server that falls
//! behind cannot hide it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use http::StatusCode;
use tokio::task::JoinSet;

use super::pending::{PATIENCE, Poller, Ring, make, poll_form};
use super::{SQLITE, say};
use crate::attorn;
use crate::load::{Reading, Wrong, latencies, micros, until_done};
use crate::meter::{self, Result};
use crate::program::Program;
use crate::report::{Figure, Series};
use crate::setting::Setting;
use crate::wire::Connection;

/// Between two polls of the same: five seconds, and what the way there may vary without the second
/// coming too soon.
const PERIOD: Duration = Duration::from_millis(5_250);
/// Made before the memory is read, so that pools and caches have their size.
const FIRST: usize = 2_000;
/// Who has no answer by then has none.
const PATIENT: Duration = Duration::from_secs(10);
/// What a pending approval may take in memory, bytes.
const BYTES: f64 = 1024.0;

/// What one socket saw, or all of them.
struct Seen {
    due: u64,
    answered: u64,
    wrong: Wrong,
    latency: Histogram<u64>,
}

impl Seen {
    fn new() -> Result<Self> {
        Ok(Self {
            due: 0,
            answered: 0,
            wrong: Wrong::new(),
            latency: latencies()?,
        })
    }
}

/// When the loop begins, from when it counts, and when it ends.
#[derive(Clone, Copy)]
struct Times {
    begin: Instant,
    count: Instant,
    end: Instant,
}

/// Polls these in turn, evenly over each period; `offset` is when the first is due.
async fn socket(
    program: Arc<Program>,
    mut connection: Connection,
    ids: Vec<String>,
    offset: Duration,
    times: Times,
) -> Result<Seen> {
    let mut seen = Seen::new()?;
    let step = PERIOD / u32::try_from(ids.len().max(1)).unwrap_or(u32::MAX);
    let mut sent: Vec<Option<Instant>> = vec![None; ids.len()];
    let mut due = times.begin + offset;
    loop {
        for (id, sent) in ids.iter().zip(&mut sent) {
            if due >= times.end {
                return Ok(seen);
            }
            // A client keeps to the interval even if its last poll went out late.
            let allowed = sent.map_or(due, |sent| due.max(sent + PATIENCE));
            tokio::time::sleep_until(allowed.into()).await;
            let counts = due >= times.count;
            seen.due += u64::from(counts);
            if Instant::now() >= times.end + PATIENT {
                // Hopelessly behind: what is left was due and is not answered.
                due += step;
                continue;
            }
            *sent = Some(Instant::now());
            let form = poll_form(&program, id);
            let posted = connection.post(program.token, form);
            let name = match tokio::time::timeout(PATIENT, posted).await {
                Ok(Ok(answer))
                    if answer.status == StatusCode::BAD_REQUEST
                        && answer.has("\"authorization_pending\"") =>
                {
                    if counts {
                        seen.answered += 1;
                        seen.latency.saturating_record(micros(due.elapsed()));
                    }
                    due += step;
                    continue;
                }
                Ok(Ok(answer)) => answer.name(),
                Ok(Err(error)) => error,
                Err(_) => "no answer".to_owned(),
            };
            if counts {
                *seen.wrong.entry(name.clone()).or_default() += 1;
            }
            if name == "no answer" || connection.is_closed() {
                connection = Connection::open(program.address, &program.host).await?;
            }
            due += step;
        }
    }
}

pub async fn run(setting: &Setting) -> Result<(Vec<Figure>, Vec<Series>)> {
    let program = Arc::new(attorn::on_sqlite(setting, SQLITE, 1).await?);
    make(&program, FIRST, setting.connections).await?;
    let before = meter::memory(program.pid)?;
    let count = setting.many;
    say(format!("making {count} pending approvals"));
    let ids = make(&program, count, setting.connections).await?;
    // Each polled once, over few connections: what the connections of the loop take is not the approvals'.
    let ring = Ring::patient(&program, &ids);
    let times = count.div_ceil(setting.connections);
    let pollers = (0..setting.connections).map(|_| Poller::so_often(&program, &ring, times));
    until_done(&program, pollers.collect()).await?;
    let polled = meter::memory(program.pid)?;
    let per_pending = (polled as f64 - before as f64) / count as f64;

    let sockets = setting.sockets.min(count).max(1);
    let each = count / sockets;
    say(format!(
        "polling them over {sockets} sockets for {} s",
        setting.open.as_secs()
    ));
    // All are open before the first poll: who is kept waiting at the start is too early the next time,
    // and is told to wait longer from then on.
    let mut connections = Vec::with_capacity(sockets);
    for _ in 0..sockets {
        connections.push(Connection::open(program.address, &program.host).await?);
    }
    // None may be polled again too soon. The first turns do not count.
    let begin = Instant::now() + PERIOD;
    let times = Times {
        begin,
        count: begin + 2 * PERIOD,
        end: begin + 2 * PERIOD + setting.open,
    };
    let mut polling = JoinSet::new();
    for (index, (ids, connection)) in ids.chunks(each.max(1)).zip(connections).enumerate() {
        let share = index as f64 / sockets as f64 / each.max(1) as f64;
        let offset = PERIOD.mul_f64(share.fract());
        polling.spawn(socket(
            program.clone(),
            connection,
            ids.to_vec(),
            offset,
            times,
        ));
    }
    tokio::time::sleep_until(times.count.into()).await;
    let used_before = Reading::of(&program)?.own;
    tokio::time::sleep_until(times.end.into()).await;
    let used = Reading::of(&program)?.own - used_before;
    let in_loop = meter::memory(program.pid)?;
    let mut all = Seen::new()?;
    while let Some(seen) = polling.join_next().await {
        let seen = seen.map_err(|error| error.to_string())??;
        all.due += seen.due;
        all.answered += seen.answered;
        for (name, count) in seen.wrong {
            *all.wrong.entry(name).or_default() += count;
        }
        all.latency
            .add(seen.latency)
            .map_err(|error| error.to_string())?;
    }
    let at = |quantile: f64| all.latency.value_at_quantile(quantile) as f64 / 1e3;
    let wrong: u64 = all.wrong.values().sum();
    let what = format!("{count} pending, each polled every 5 s, open loop over {sockets} sockets");
    let figures = vec![
        Figure::said(
            &format!("{what}: errors and wrong answers"),
            if wrong == 0 && all.answered == all.due {
                format!("none of {}", all.due)
            } else {
                format!(
                    "{} due, {} right, others {:?}",
                    all.due, all.answered, all.wrong
                )
            },
            "none",
            Some(wrong == 0 && all.answered == all.due),
        ),
        Figure::said(
            "that loop: latency from when a poll was due",
            format!(
                "p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, most {:.1} ms",
                at(0.5),
                at(0.99),
                at(0.999),
                all.latency.max() as f64 / 1e3
            ),
            "reported",
            None,
        ),
        Figure::said(
            "that loop: CPU time of the server",
            format!(
                "{:.1} µs per poll, {:.2} of a core",
                used.as_secs_f64() * 1e6 / all.answered.max(1) as f64,
                used.as_secs_f64() / setting.open.as_secs_f64()
            ),
            "reported",
            None,
        ),
        Figure::said(
            &format!("memory per pending approval, {count} of them, each polled once"),
            format!(
                "{per_pending:.0} bytes: {:.0} MB before, {:.0} MB after; {:.0} MB with {sockets} connections",
                before as f64 / 1e6,
                polled as f64 / 1e6,
                in_loop as f64 / 1e6
            ),
            "≤ 1 KB",
            Some(per_pending <= BYTES),
        ),
    ];
    Ok((figures, Vec::new()))
}
