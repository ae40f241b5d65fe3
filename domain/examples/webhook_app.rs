//! An app that is told when an agent asks: the smallest one that checks what it
//! gets. It listens on this machine and prints; a real one would ring a phone.
//!
//! ```text
//! ATTORN_WEBHOOK_SECRET=whsec_… cargo run -p domain --example webhook_app -- 127.0.0.1:9000
//! ```
//!
//! The address is added on the page *Devices* of Attorn, which then shows the
//! secret; an address on this machine is called by the demo only. Any library for Standard Webhooks 1.0 does the same in its language.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{constant_time, hmac};
use evidence::digest::{base64, from_base64};
use serde_json::Value;

/// How old or new a delivery may be, in seconds.
const TOLERANCE: i64 = 5 * 60;
/// No delivery of Attorn's is longer, in bytes.
const LONGEST: usize = 64 * 1024;

/// The three headers of a delivery.
#[derive(Default)]
pub struct Delivery {
    /// `webhook-id`: the same when it is tried again. Who saw it ignores it.
    pub id: String,
    /// `webhook-timestamp`, in seconds.
    pub timestamp: String,
    /// `webhook-signature`, one or several with blanks between.
    pub signature: String,
}

/// What a delivery says, if Attorn made it just now. `now` is in Unix seconds.
pub fn verified(
    delivery: &Delivery,
    body: &str,
    secret: &str,
    now: i64,
) -> Result<Value, &'static str> {
    let key = secret.strip_prefix("whsec_").ok_or("this is no secret")?;
    let key = from_base64(key).map_err(|_| "this is no secret")?;
    let at: i64 = delivery.timestamp.parse().map_err(|_| "it has no time")?;
    if (now - at).abs() > TOLERANCE {
        return Err("it is too old, or of the future");
    }
    let signed = format!("{}.{at}.{body}", delivery.id);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
    let expected = format!("v1,{}", base64(tag.as_ref()));
    let same = |given: &str| {
        constant_time::verify_slices_are_equal(given.as_bytes(), expected.as_bytes()).is_ok()
    };
    if !delivery.signature.split(' ').any(same) {
        return Err("somebody else made it, or changed it");
    }
    serde_json::from_str(body).map_err(|_| "it is not JSON")
}

/// What a person reads of it.
pub fn words(told: &Value) -> String {
    let text = |name: &str| told["data"][name].as_str().unwrap_or_default();
    match told["type"].as_str().unwrap_or_default() {
        "approval.asked" => format!(
            "{} asks: {}. Decide at {} until {}.",
            text("agent"),
            text("title"),
            text("url"),
            text("expires_at")
        ),
        "approval.ended" => format!("{}: {}.", text("title"), text("state")),
        "device.recovered" => format!(
            "A recovery code set up a device. Not you? Look at {}.",
            text("url")
        ),
        other => format!("{other} arrived."),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "an app of somebody else's, with the machine's clock"
)]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0))
}

fn serve(mut socket: TcpStream, secret: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    let (mut delivery, mut length) = (Delivery::default(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "webhook-id" => value.clone_into(&mut delivery.id),
            "webhook-timestamp" => value.clone_into(&mut delivery.timestamp),
            "webhook-signature" => value.clone_into(&mut delivery.signature),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; LONGEST.min(length)];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body);
    let status = match verified(&delivery, &body, secret, now()) {
        Ok(told) => {
            println!("{}", words(&told));
            "204 No Content"
        }
        Err(why) => {
            eprintln!("refused: {why}");
            "403 Forbidden"
        }
    };
    write!(socket, "HTTP/1.1 {status}\r\nconnection: close\r\n\r\n")
}

fn main() -> std::io::Result<()> {
    let secret = std::env::var("ATTORN_WEBHOOK_SECRET").unwrap_or_default();
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9000"))?;
    println!("listening on http://{}/", listener.local_addr()?);
    for socket in listener.incoming() {
        if let Err(error) = serve(socket?, &secret) {
            eprintln!("a delivery broke off: {error}");
        }
    }
    Ok(())
}
