//! One HTTP/1.1 connection that is kept alive, and nothing that costs more than it must.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::meter::Result;
use crate::program::Program;
use crate::upstream::Long;

/// The type of every body that we post.
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// An open connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

/// An answer, read to its end.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// A member of a JSON body that is a text.
    pub fn text(&self, member: &str) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        body.get(member)?.as_str().map(str::to_owned)
    }

    /// Whether the body has these words in it.
    pub fn has(&self, words: &str) -> bool {
        let words = words.as_bytes();
        self.body.windows(words.len()).any(|part| part == words)
    }

    /// What it is, in a word: its status, and the error's code if it has one.
    pub fn name(&self) -> String {
        let code = self.text("error").unwrap_or_default();
        format!("{} {code}", self.status.as_u16())
            .trim_end()
            .to_owned()
    }

    /// The answer as a sentence for whoever looks for what went wrong.
    pub fn sentence(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let short: String = body.chars().take(300).collect();
        format!("{} {short}", self.status)
    }
}

impl Connection {
    /// Connects; `host` is what the requests name.
    pub async fn open(address: SocketAddr, host: &str) -> Result<Self> {
        let says = |error: &dyn std::fmt::Display| format!("{address}: {error}");
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| says(&error))?;
        stream.set_nodelay(true).map_err(|error| says(&error))?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| says(&error))?;
        // Its errors come back with the request that meets them.
        tokio::spawn(connection);
        let host = HeaderValue::from_str(host).map_err(|error| says(&error))?;
        Ok(Self { sender, host })
    }

    /// Sends a request and reads the answer to its end.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(header::HeaderName, String)],
        body: String,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.host.clone());
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, FORM);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        self.sender
            .ready()
            .await
            .map_err(|error| error.to_string())?;
        let answer = self
            .sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string())?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    /// Whether the other side has ended it.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Posts a form.
    pub async fn post(&mut self, path: &str, body: String) -> Result<Answer> {
        self.send(Method::POST, path, &[], body).await
    }
}

/// Sends one request on a connection of its own.
async fn once<B>(
    program: &Program,
    request: http::request::Builder,
    body: B,
) -> Result<Response<Incoming>>
where
    B: Body<Data = Bytes, Error = std::convert::Infallible> + Send + Unpin + 'static,
{
    let says = |error: &dyn std::fmt::Display| format!("{}: {error}", program.name);
    let stream = TcpStream::connect(program.address)
        .await
        .map_err(|error| says(&error))?;
    let (mut sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| says(&error))?;
    tokio::spawn(connection);
    let request = request
        .header(header::HOST, &program.host)
        .body(body)
        .map_err(|error| says(&error))?;
    sender
        .send_request(request)
        .await
        .map_err(|error| says(&error))
}

/// Reads a long answer and holds nothing of it; how many bytes came.
pub async fn download(program: &Program, path: &str, authorization: &str) -> Result<u64> {
    let request = Request::get(path).header(header::AUTHORIZATION, authorization);
    let answer = once(program, request, Full::new(Bytes::new())).await?;
    if answer.status() != StatusCode::OK {
        return Err(format!("{path} was answered {}", answer.status()));
    }
    let (mut body, mut came) = (answer.into_body(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("{path}: {error}"))?;
        came += frame.data_ref().map_or(0, Bytes::len) as u64;
    }
    Ok(came)
}

/// Sends a body of so many MiB; how many bytes the other end says that it took.
pub async fn upload(program: &Program, path: &str, authorization: &str, mib: u64) -> Result<u64> {
    let request = Request::post(path)
        .header(header::AUTHORIZATION, authorization)
        .header(header::CONTENT_TYPE, "application/octet-stream");
    let answer = once(program, request, Long::of(mib)).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await;
    let body = body.map_err(|error| format!("{path}: {error}"))?.to_bytes();
    let said: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    said.and_then(|said| said.get("took")?.as_u64())
        .ok_or_else(|| format!("{path} was answered {status}"))
}

/// A form's text.
pub fn form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}
