//! How soon people and agents hear: from the request, stored, to the push in the hands of the push
//! service, and from the decision to the answer of the poll that waits for it. One request at a time,
//! over loopback: what is measured is our own part of the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use http::{Method, StatusCode, header};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{SQLITE, say};
use crate::attorn::{self, Browser};
use crate::load::{latencies, micros};
use crate::meter::Result;
use crate::program::Program;
use crate::report::{Figure, Series};
use crate::setting::Setting;
use crate::wire::{Connection, form};

/// Requests that are asked, brought, decided and answered.
const ROUNDS: usize = 200;
/// Rounds before those, which do not count.
const WARM: usize = 20;
/// The poll is surely waiting this long after it was sent.
const SETTLED: Duration = Duration::from_millis(100);
/// Who has no answer by then has none.
const PATIENT: Duration = Duration::from_secs(10);
/// The keys of the browser of RFC 8291, appendix A.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

/// A push service: says when a message of urgency has come whole, and takes it.
async fn push_service() -> Result<(String, UnboundedReceiver<Instant>)> {
    let says = |error: std::io::Error| format!("the push service: {error}");
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(says)?;
    let endpoint = format!("http://{}/push", listener.local_addr().map_err(says)?);
    let (tell, came) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(taken(socket, tell.clone()));
        }
    });
    Ok((endpoint, came))
}

async fn taken(mut socket: TcpStream, tell: UnboundedSender<Instant>) {
    let mut read = Vec::new();
    loop {
        let mut chunk = [0; 16 * 1024];
        match socket.read(&mut chunk).await {
            Ok(count) if count > 0 => read.extend_from_slice(&chunk[..count]),
            _ => return,
        }
        let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        let value = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim)
        };
        let length: usize = value("content-length:")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        if read.len() < end + 4 + length {
            continue;
        }
        // That it was decided is told with less urgency.
        if value("urgency:") == Some("high") {
            tell.send(Instant::now()).ok();
        }
        read.clear();
        let answer = "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn in_time<T>(what: &str, coming: impl Future<Output = T>) -> Result<T> {
    let waited = tokio::time::timeout(PATIENT, coming).await;
    waited.map_err(|_| format!("{what} did not come within {} s", PATIENT.as_secs()))
}

/// The poll that waits: when its answer came, and whether it has a token.
async fn poll(program: Arc<Program>, id: String) -> Result<(Instant, StatusCode)> {
    let mut connection = Connection::open(program.address, &program.host).await?;
    let body = program.form([
        ("grant_type", "urn:openid:params:grant-type:ciba"),
        ("auth_req_id", &id),
    ]);
    let wait = [(
        header::HeaderName::from_static("prefer"),
        "wait=30".to_owned(),
    )];
    let answer = connection
        .send(Method::POST, program.token, &wait, body)
        .await?;
    Ok((Instant::now(), answer.status))
}

/// What one round took: until the push came, and until the agent heard.
async fn round(
    program: &Arc<Program>,
    agent: &mut Connection,
    browser: &mut Browser<'_>,
    pushes: &mut UnboundedReceiver<Instant>,
) -> Result<(Duration, Duration)> {
    let body = program.form([
        ("scope", "openid"),
        ("login_hint", &program.client.person),
        ("binding_message", "BENCH"),
    ]);
    let asked = agent.post(program.backchannel, body).await?;
    let stored = Instant::now();
    let id = asked
        .text("auth_req_id")
        .ok_or_else(|| format!("/bc-authorize was answered {}", asked.sentence()))?;
    let came = in_time("a push", pushes.recv()).await?;
    let came = came.ok_or("the push service has ended")?;
    let list = browser.get("/approvals").await?;
    let page = String::from_utf8_lossy(&list.body).into_owned();
    let page = page
        .split("href=\"/approve/")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .ok_or("the request is not listed")?;
    let polling = tokio::spawn(poll(program.clone(), id));
    tokio::time::sleep(SETTLED).await;
    let decided = Instant::now();
    let answer = browser
        .post(&format!("/approve/{page}"), form([("decision", "approve")]))
        .await?;
    if answer.status != StatusCode::SEE_OTHER {
        return Err(format!("a decision was answered {}", answer.sentence()));
    }
    let heard = in_time("the answer of a poll", polling).await?;
    let (heard, status) = heard.map_err(|error| error.to_string())??;
    if status != StatusCode::OK {
        return Err(format!("the poll was answered {status}"));
    }
    // A push may overtake the answer.
    Ok((came.saturating_duration_since(stored), heard - decided))
}

fn said(what: &str, of: &Histogram<u64>) -> Figure {
    let at = |quantile: f64| of.value_at_quantile(quantile) as f64 / 1e3;
    let measured = format!(
        "p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms, of {}",
        at(0.5),
        at(0.99),
        of.max() as f64 / 1e3,
        of.len()
    );
    Figure::said(what, measured, "", None)
}

pub async fn run(setting: &Setting) -> Result<(Vec<Figure>, Vec<Series>)> {
    let program = Arc::new(attorn::on_sqlite(setting, SQLITE, 1).await?);
    let (endpoint, mut pushes) = push_service().await?;
    let mut browser = Browser::open(&program).await?;
    browser.sign_in().await?;
    let subscription = [
        ("browser", "Bench"),
        ("endpoint", endpoint.as_str()),
        ("p256dh", P256DH),
        ("auth", AUTH),
    ];
    let told = browser.post("/devices/notices", form(subscription)).await?;
    if told.status != StatusCode::SEE_OTHER {
        return Err(format!("subscribing was answered {}", told.sentence()));
    }
    let mut agent = Connection::open(program.address, &program.host).await?;
    let (mut to_push, mut to_answer) = (latencies()?, latencies()?);
    say(format!("{ROUNDS} requests, one after the other"));
    for number in 0..WARM + ROUNDS {
        let (push, answer) = round(&program, &mut agent, &mut browser, &mut pushes).await?;
        if number >= WARM {
            to_push.saturating_record(micros(push));
            to_answer.saturating_record(micros(answer));
        }
    }
    let figures = vec![
        said("request stored → push handed to the push service", &to_push),
        said(
            "decision posted → the waiting poll has its tokens",
            &to_answer,
        ),
    ];
    Ok((figures, Vec::new()))
}
