//! What becomes of a finished answer on its way out.

use std::convert::Infallible;
use std::io;

use axum::body::{Body, Bytes};
use axum::http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, SET_COOKIE,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::stream;
use serde_json::{Value, json};

use super::bytes::{doubled, form, gzip, http_date, ids_as_numbers, utf16, with_latin1_note};
use super::instead::{html, unauthorized, unwell};
use super::{Fault, Struck};
use crate::config::Provider;
use crate::line::{Before, Deaf, Farewell};
use crate::wire::wait;

/// What of a request its answer may be spoilt with.
pub(crate) struct Passing {
    pub provider: Provider,
    /// The access or refresh token that was presented.
    pub credential: String,
    /// Unix milliseconds.
    pub now: i64,
}

impl Struck {
    /// Spoils an answer by every fault, in the order they struck.
    pub async fn spoil(&self, passing: &Passing, answer: Response) -> Response {
        let mut answer = answer;
        for fault in &self.0 {
            answer = spoil(*fault, passing, answer).await;
        }
        answer
    }
}

async fn spoil(fault: Fault, passing: &Passing, answer: Response) -> Response {
    let provider = passing.provider;
    match fault {
        Fault::AnswerLostAfterRotation => Farewell::silent(),
        Fault::ConnectionResetAfterRotation => Farewell::reset(),
        Fault::ClosedMidHeaders => Farewell::with(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-con".to_vec(),
        ),
        Fault::ErrorAfterRotation => unwell(
            provider,
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
        ),
        Fault::TimeoutAfterRotation => {
            unwell(provider, StatusCode::GATEWAY_TIMEOUT, "request_timeout")
        }
        Fault::HtmlAfterRotation => html(StatusCode::BAD_GATEWAY),
        Fault::UnauthorizedAfterWork => unauthorized(provider),
        Fault::EmptyBody => StatusCode::OK.into_response(),
        Fault::NoContent => StatusCode::NO_CONTENT.into_response(),
        Fault::Continue100 => before(answer, b"HTTP/1.1 100 Continue\r\n\r\n"),
        Fault::EarlyHints => before(
            answer,
            b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n",
        ),
        Fault::KeepAliveClosed => {
            let mut answer = answer;
            answer.extensions_mut().insert(Deaf);
            answer
        }
        Fault::WrongClock { ahead } => {
            headed(answer, &[(DATE, http_date(passing.now + ahead * 1000))])
        }
        Fault::SetsCookie => headed(
            answer,
            &[(SET_COOKIE, HeaderValue::from_static("tracked=1; Path=/"))],
        ),
        Fault::HugeHeaders { kib } => {
            let mut answer = answer;
            if let Ok(value) = HeaderValue::try_from("x".repeat(1024)) {
                for _ in 0..kib {
                    answer.headers_mut().append("x-padding", value.clone());
                }
            }
            answer
        }
        Fault::HopByHopHeaders => headed(
            answer,
            &[
                (
                    CONNECTION,
                    HeaderValue::from_static("keep-alive, x-internal-route"),
                ),
                named("keep-alive", "timeout=5"),
                named("proxy-connection", "keep-alive"),
                named("proxy-authenticate", "Basic realm=\"inside\""),
                named("te", "trailers"),
                named("upgrade", "h2c"),
                named("x-internal-route", "10.0.0.7"),
            ],
        ),
        Fault::EchoInHeader => {
            let value = HeaderValue::try_from(format!("Bearer {}", passing.credential));
            let mut answer = answer;
            if let Ok(value) = value {
                answer.headers_mut().insert("x-you-sent", value);
            }
            answer
        }
        Fault::EchoInBody => axum::Json(echo(&passing.credential)).into_response(),
        Fault::EchoAcrossChunks => {
            let text = format!("you sent Bearer {} to us", passing.credential);
            let parts: Vec<Bytes> = text
                .as_bytes()
                .chunks(3)
                .map(Bytes::copy_from_slice)
                .collect();
            (StatusCode::OK, in_pieces(parts, 0)).into_response()
        }
        _ => rewritten(fault, answer).await,
    }
}

/// Faults that need the whole body.
async fn rewritten(fault: Fault, answer: Response) -> Response {
    if !rewrites(fault) {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    // Our own answers are small and cannot fail to be read.
    let whole = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    parts.headers.remove(CONTENT_LENGTH);
    let mut kind = |text: &'static str| {
        parts
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(text));
    };
    let body = match fault {
        Fault::TruncatedJson => Body::from(whole.slice(..whole.len() / 2)),
        Fault::CutShort { bytes } => {
            Body::from(whole.slice(..whole.len().saturating_sub(bytes as usize)))
        }
        Fault::BodyCutOff => {
            parts.headers.insert(CONTENT_LENGTH, whole.len().into());
            cut_off(whole.slice(..whole.len() / 2))
        }
        Fault::ChunkedWithoutEnd => cut_off(whole),
        Fault::HugeBody { mib } => {
            let padding = std::iter::repeat_n(spaces(), mib as usize * 16);
            let chunks = padding
                .chain(std::iter::once(whole))
                .map(Ok::<_, Infallible>);
            Body::from_stream(stream::iter(chunks))
        }
        Fault::EndlessStream => {
            let chunks = std::iter::repeat_with(|| Ok::<_, Infallible>(spaces()));
            Body::from_stream(stream::iter(chunks))
        }
        Fault::SlowDrip { ms } => {
            let parts = whole.chunks(16).map(Bytes::copy_from_slice).collect();
            in_pieces(parts, ms)
        }
        Fault::GzipUnasked => {
            parts
                .headers
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Body::from(gzip(&whole))
        }
        Fault::ByteOrderMark => Body::from([b"\xef\xbb\xbf", &*whole].concat()),
        Fault::Utf16 => {
            kind("application/json; charset=utf-16");
            Body::from(utf16(&whole))
        }
        Fault::WrongCharset => {
            kind("application/json; charset=iso-8859-1");
            Body::from(with_latin1_note(&whole))
        }
        Fault::WrongContentType => {
            kind("text/html; charset=utf-8");
            Body::from(whole)
        }
        Fault::FormEncoded => {
            kind("application/x-www-form-urlencoded; charset=utf-8");
            Body::from(form(&whole))
        }
        Fault::DuplicateKeys => Body::from(doubled(&whole)),
        Fault::TrailingGarbage => Body::from([&*whole, b"\n<!-- served by node 7 -->\n"].concat()),
        Fault::IdentityAsNumber => Body::from(ids_as_numbers(&whole)),
        Fault::NoIdentityId | Fault::UnverifiedEmail => Body::from(identity(fault, &whole)),
        _ => Body::from(whole),
    };
    Response::from_parts(parts, body)
}

fn rewrites(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::TruncatedJson
            | Fault::CutShort { .. }
            | Fault::BodyCutOff
            | Fault::ChunkedWithoutEnd
            | Fault::HugeBody { .. }
            | Fault::EndlessStream
            | Fault::SlowDrip { .. }
            | Fault::GzipUnasked
            | Fault::ByteOrderMark
            | Fault::Utf16
            | Fault::WrongCharset
            | Fault::WrongContentType
            | Fault::FormEncoded
            | Fault::DuplicateKeys
            | Fault::TrailingGarbage
            | Fault::IdentityAsNumber
            | Fault::NoIdentityId
            | Fault::UnverifiedEmail
    )
}

fn spaces() -> Bytes {
    Bytes::from_static(&[b' '; 64 * 1024])
}

fn named(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    )
}

fn headed(mut answer: Response, headers: &[(HeaderName, HeaderValue)]) -> Response {
    answer.headers_mut().extend(headers.iter().cloned());
    answer
}

fn before(mut answer: Response, bytes: &'static [u8]) -> Response {
    answer.extensions_mut().insert(Before(bytes));
    answer
}

/// Sends what there is, and then breaks the connection instead of ending the body.
fn cut_off(sent: Bytes) -> Body {
    let chunks = stream::unfold(Some(sent), async |sent| match sent {
        Some(bytes) if !bytes.is_empty() => Some((Ok(bytes), Some(Bytes::new()))),
        Some(_) => {
            // Let the server write what it has before it hears of the end.
            tokio::task::yield_now().await;
            let broken = io::Error::new(io::ErrorKind::ConnectionAborted, "cut off on purpose");
            Some((Err(broken), None))
        }
        None => None,
    });
    Body::from_stream(chunks)
}

/// Sends piece after piece, each by itself.
fn in_pieces(pieces: Vec<Bytes>, ms: u64) -> Body {
    let pieces = stream::unfold(pieces.into_iter(), move |mut pieces| async move {
        let piece = pieces.next()?;
        if ms > 0 {
            wait(ms).await;
        } else {
            tokio::task::yield_now().await;
        }
        Some((Ok::<_, Infallible>(piece), pieces))
    });
    Body::from_stream(pieces)
}

fn echo(credential: &str) -> Value {
    let coded: String = url::form_urlencoded::byte_serialize(credential.as_bytes()).collect();
    json!({ "ok": true, "you_sent": {
        "authorization": format!("Bearer {credential}"),
        "base64": BASE64_STANDARD.encode(credential),
        "url_encoded": coded,
    }})
}

/// A who-am-I answer without the person's id, or with an unverified address.
fn identity(fault: Fault, json: &[u8]) -> Vec<u8> {
    let Ok(Value::Object(mut members)) = serde_json::from_slice(json) else {
        return json.to_vec();
    };
    if fault == Fault::NoIdentityId {
        members.retain(|name, _| !["id", "sub", "user_id"].contains(&name.as_str()));
    } else {
        for name in ["email_verified", "verified_email"] {
            if members.contains_key(name) {
                members.insert(name.to_owned(), false.into());
            }
        }
    }
    Value::Object(members).to_string().into_bytes()
}
