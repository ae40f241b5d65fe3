//! Bodies that pass through without being held: a gigabyte takes no more memory
//! than a kilobyte.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{Stream, StreamExt as _, try_unfold};
use http::{HeaderMap, Method, StatusCode};
use http_body::{Frame, SizeHint};
use url::Url;

use super::{Error, failed};

/// A body that ended before it was whole; says why.
#[derive(Debug, thiserror::Error)]
#[error("the body broke off: {0}")]
pub struct BrokeOff(pub String);

/// The pieces of a body, as they come.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BrokeOff>> + Send>>;

/// A body, at hand or on its way.
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// To be passed on piece by piece.
    Passing {
        /// The pieces.
        chunks: Chunks,
        /// How many bytes they are together, where that was said.
        length: Option<u64>,
    },
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes)
    }
}

/// Why a body could not be held.
#[derive(Debug)]
pub enum Unheld {
    /// It is longer than it may be.
    TooLarge,
    /// It ended too early.
    BrokeOff(BrokeOff),
}

impl Body {
    /// How many bytes it has, where that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) => u64::try_from(bytes.len()).ok(),
            Self::Passing { length, .. } => *length,
        }
    }

    /// Reads all of it, `limit` bytes at most.
    ///
    /// # Errors
    /// When it is longer, or breaks off.
    pub async fn whole(self, limit: usize) -> Result<Bytes, Unheld> {
        match self {
            Self::Whole(bytes) if bytes.len() <= limit => Ok(bytes),
            Self::Whole(_) => Err(Unheld::TooLarge),
            Self::Passing { mut chunks, length } => {
                if length.is_some_and(|length| usize::try_from(length).is_ok_and(|n| n > limit)) {
                    return Err(Unheld::TooLarge);
                }
                match begin(&mut chunks, limit).await.map_err(Unheld::BrokeOff)? {
                    (bytes, true) => Ok(bytes),
                    (_, false) => Err(Unheld::TooLarge),
                }
            }
        }
    }
}

/// Reads until the end or until there is more than `enough`; says whether this
/// is all.
///
/// # Errors
/// When it breaks off before.
pub async fn begin(chunks: &mut Chunks, enough: usize) -> Result<(Bytes, bool), BrokeOff> {
    let mut read = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        read.extend_from_slice(&chunk?);
        if read.len() > enough {
            return Ok((read.freeze(), false));
        }
    }
    Ok((read.freeze(), true))
}

/// One call whose bodies pass through.
pub struct Open {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers, the credential among them.
    pub headers: HeaderMap,
    /// What is sent.
    pub body: Body,
    /// How long nothing may move, either way.
    pub idle: Duration,
    /// How long the answer's body may take altogether.
    pub longest: Duration,
    /// How many bytes pass at most, each way.
    pub limit: u64,
}

/// An answer whose body is on its way.
pub struct Opened {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub chunks: Chunks,
    /// How long it says it is, in bytes.
    pub length: Option<u64>,
}

/// One call with this client, up to the head of its answer.
pub(super) async fn open(client: &reqwest::Client, open: Open) -> Result<Opened, Error> {
    let taken = Arc::new(AtomicU64::new(0));
    let request = client
        .request(open.method, open.url)
        .headers(open.headers)
        .body(outward(open.body, open.limit, &taken));
    let sending = request.send();
    tokio::pin!(sending);
    let mut seen = 0;
    let response = loop {
        if let Ok(answer) = tokio::time::timeout(open.idle, &mut sending).await {
            break answer.map_err(failed)?;
        }
        let now = taken.load(Ordering::Relaxed);
        if now == seen {
            return Err(Error::Lost(format!(
                "nothing moved for {} s",
                open.idle.as_secs()
            )));
        }
        seen = now;
    };
    let length = response.content_length();
    Ok(Opened {
        status: response.status(),
        headers: response.headers().clone(),
        chunks: inward(response, open.limit, open.idle, open.longest),
        length,
    })
}

/// What comes back, piece by piece.
fn inward(response: reqwest::Response, limit: u64, idle: Duration, longest: Duration) -> Chunks {
    // The time-out of something that never ends is an alarm.
    let alarm = Box::pin(tokio::time::timeout(longest, std::future::pending::<()>()));
    let start = (response, limit, alarm);
    Box::pin(try_unfold(
        start,
        move |(mut response, left, mut alarm)| async move {
            let next = tokio::select! {
                next = tokio::time::timeout(idle, response.chunk()) => next,
                _ = &mut alarm => {
                    let s = longest.as_secs();
                    return Err(BrokeOff(format!("it took longer than {s} s")));
                }
            };
            let next =
                next.map_err(|_| BrokeOff(format!("nothing came for {} s", idle.as_secs())))?;
            let next = next.map_err(|error| BrokeOff(error.without_url().to_string()))?;
            let Some(chunk) = next else { return Ok(None) };
            let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let left = left
                .checked_sub(length)
                .ok_or_else(|| BrokeOff(format!("it is larger than {limit} bytes")))?;
            Ok(Some((chunk, (response, left, alarm))))
        },
    ))
}

/// A body on its way out, as the HTTP client takes it.
fn outward(body: Body, limit: u64, taken: &Arc<AtomicU64>) -> reqwest::Body {
    match body {
        Body::Whole(bytes) => bytes.into(),
        Body::Passing { chunks, length } => reqwest::Body::wrap(Outward {
            chunks: Mutex::new(chunks),
            length,
            limit,
            taken: taken.clone(),
        }),
    }
}

struct Outward {
    /// Never locked: a mutex lets go-betweens share what they only hand on.
    chunks: Mutex<Chunks>,
    length: Option<u64>,
    limit: u64,
    taken: Arc<AtomicU64>,
}

impl http_body::Body for Outward {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let chunks = self
            .chunks
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let next = ready!(chunks.as_mut().poll_next(cx));
        let next = next.map(|chunk| {
            let chunk = chunk?;
            let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let before = self.taken.fetch_add(length, Ordering::Relaxed);
            if before.saturating_add(length) > self.limit {
                return Err(BrokeOff(format!("it is larger than {} bytes", self.limit)));
            }
            Ok(Frame::data(chunk))
        });
        Poll::Ready(next)
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
