//! The outward HTTP client, handed in with the `Engine`.
//!
//! Every call has a time-out and a bound on the answer's size; redirects are
//! returned, never followed. An error says whether the request may have
//! reached the other side, because promise 1 and promise 2 depend on it.

mod guarded;
mod stream;

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use url::Url;

pub use guarded::{GuardedOutbound, Names, SystemNames, is_public};
pub use stream::{Body, BrokeOff, Chunks, Open, Opened, Unheld, begin};

/// One call to somebody else's server.
pub struct Ask {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers, the credential among them (marked sensitive by whoever sets it).
    pub headers: HeaderMap,
    /// The body's exact bytes.
    pub body: Bytes,
    /// How long the whole call may take.
    pub timeout: Duration,
    /// How many bytes of answer are read at most.
    pub limit: usize,
}

/// What came back.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// What came of an answer that broke off. It may hold a credential: its
/// `Debug` shows nothing of it.
pub struct Came(pub Box<Answer>);

impl std::fmt::Debug for Came {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.body.len())
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Surely nothing was sent: no connection could be made.
    #[error("no connection: {0}")]
    NotSent(String),
    /// The request may have been received and carried out.
    #[error("the answer was lost: {0}")]
    Lost(String),
    /// An answer began and broke off. What came of it may be whole by itself.
    #[error("the answer broke off: {why}")]
    BrokeOff {
        /// What happened.
        why: String,
        /// What came.
        came: Came,
    },
    /// An answer began, but is larger than the limit.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// Somebody who makes outward calls.
#[async_trait]
pub trait Outbound: Send + Sync + 'static {
    /// Makes one call.
    async fn send(&self, ask: Ask) -> Result<Answer, Error>;

    /// Makes one call whose bodies pass through; answers when the head of the
    /// answer is there.
    async fn open(&self, open: Open) -> Result<Opened, Error>;
}

/// The real client. Its addresses come from our own configuration.
pub struct HttpOutbound {
    client: reqwest::Client,
}

impl HttpOutbound {
    /// A client with pooled connections, no redirects, no cookies, no proxies
    /// from the environment.
    ///
    /// # Errors
    /// When the TLS set-up of this machine cannot be read.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that makes an outward client"
    )]
    pub fn new() -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .no_proxy()
            .retry(reqwest::retry::never())
            .user_agent(concat!("Attorn/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client })
    }
}

#[async_trait]
impl Outbound for HttpOutbound {
    async fn send(&self, ask: Ask) -> Result<Answer, Error> {
        exchange(&self.client, ask).await
    }

    async fn open(&self, open: Open) -> Result<Opened, Error> {
        stream::open(&self.client, open).await
    }
}

/// Why nothing was answered.
fn failed(error: reqwest::Error) -> Error {
    // `is_connect` is set only while there is no connection to write to.
    let unsent = error.is_connect() || error.is_builder();
    let words = error.without_url().to_string();
    if unsent {
        Error::NotSent(words)
    } else {
        Error::Lost(words)
    }
}

/// One call with this client, its answer read up to the limit.
async fn exchange(client: &reqwest::Client, ask: Ask) -> Result<Answer, Error> {
    let limit = ask.limit;
    let request = client
        .request(ask.method, ask.url)
        .headers(ask.headers)
        .body(ask.body)
        .timeout(ask.timeout);
    let mut response = request.send().await.map_err(failed)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = BytesMut::new();
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) => {
                return Err(Error::BrokeOff {
                    why: error.without_url().to_string(),
                    came: Came(Box::new(Answer {
                        status,
                        headers,
                        body: body.freeze(),
                    })),
                });
            }
        };
        if body.len() + chunk.len() > limit {
            return Err(Error::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        headers,
        body: body.freeze(),
    })
}
