//! What every handler shares, and the layers every request passes.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use domain::Engine;
use futures::FutureExt as _;
use leptos::config::LeptosOptions;
use tokio::net::TcpListener;
use tracing::Instrument as _;
use url::Url;

use crate::tls::TlsListener;

/// What every handler shares. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    /// The rules.
    pub engine: Engine,
    /// How pages name their client files.
    pub leptos: Arc<LeptosOptions>,
    /// What the operator decided about the door.
    pub options: Arc<Options>,
}

/// What the operator decided about the door.
pub struct Options {
    /// The issuer, as an address.
    pub issuer: Url,
    /// Names this server answers to (`Host`); anything else is refused (DNS rebinding).
    pub hosts: HashSet<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Where the built client files lie.
    pub site_root: PathBuf,
    /// The secret part of the demo's address that plays the person; `None` outside the demo.
    pub demo_secret: Option<String>,
}

impl Options {
    /// Names for a server with this issuer: the issuer's own, and on loopback
    /// every way to write loopback.
    #[must_use]
    pub fn hosts_of(issuer: &Url) -> HashSet<String> {
        let port = issuer
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let host = issuer.host_str().unwrap_or_default();
        let mut hosts = HashSet::from([format!("{host}{port}")]);
        if is_loopback(host) {
            for name in ["localhost", "127.0.0.1", "[::1]"] {
                hosts.insert(format!("{name}{port}"));
            }
        }
        hosts
    }

    /// Whether cookies travel over TLS only.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.issuer.scheme() == "https"
    }

    /// The callback of the vault at providers.
    #[must_use]
    pub fn link_callback(&self) -> String {
        format!("{}link/callback", self.issuer)
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The id of one request: in its logs, its answer's `x-request-id`, and every error shown.
#[derive(Clone, Debug)]
pub struct TraceId(pub String);

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// An answer that is given so often, and says so little, that the log has it
/// only where details are wanted: put into its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Routine;

/// Where the request came from, as far as it can be believed.
#[derive(Clone, Debug)]
pub struct ClientAddress(pub Option<IpAddr>);

/// Names the request, checks its `Host` and path, and adds the headers every answer has.
pub async fn layer(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let trace = TraceId(trace_id(&door));
    let address = client_address(
        &door.options,
        request.headers(),
        request.extensions().get::<ConnectInfo<Peer>>(),
    );
    request.extensions_mut().insert(trace.clone());
    request.extensions_mut().insert(ClientAddress(address));
    let span = tracing::info_span!(
        "request",
        trace = %trace.0,
        method = %request.method(),
        // Never the query: it may carry codes.
        path = %request.uri().path(),
    );
    let started = door.engine.clock.monotonic();
    let refused = |status, words: &'static str| (status, words).into_response();
    let mut response = if !host_is_ours(&door.options, &request) {
        refused(
            StatusCode::MISDIRECTED_REQUEST,
            "this server does not answer to that host name\n",
        )
    } else if has_nul(&request) {
        refused(
            StatusCode::BAD_REQUEST,
            "an address with a NUL in it names nothing\n",
        )
    } else {
        next.run(request).instrument(span.clone()).await
    };
    span.in_scope(|| {
        let milliseconds = door.engine.clock.monotonic() - started;
        let status = response.status().as_u16();
        if response.extensions().get::<Routine>().is_some() {
            tracing::debug!(status, milliseconds, "answered");
        } else {
            tracing::info!(status, milliseconds, "answered");
        }
    });
    let headers = response.headers_mut();
    // Once, not at every other insertion.
    headers.reserve(12);
    if let Ok(id) = HeaderValue::from_str(&trace.0) {
        headers.insert("x-request-id", id);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            header::HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=()",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ));
    if door.options.secure() {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    response
}

fn trace_id(door: &Door) -> String {
    let bytes: [u8; 8] = domain::ids::random(&*door.engine.rng);
    format!("{:016x}", u64::from_be_bytes(bytes))
}

fn client_address(
    options: &Options,
    headers: &HeaderMap,
    peer: Option<&ConnectInfo<Peer>>,
) -> Option<IpAddr> {
    let peer = peer.map(|info| info.0.0.ip())?;
    if !options.trusted_proxies.contains(&peer) {
        return Some(peer);
    }
    // The last entry was added by the proxy we trust; earlier ones are anybody's words.
    headers
        .get_all("x-forwarded-for")
        .iter()
        .next_back()
        .and_then(|value| value.to_str().ok())
        .and_then(|list| list.rsplit(',').next())
        .and_then(|last| last.trim().parse().ok())
        .or(Some(peer))
}

fn host_is_ours(options: &Options, request: &Request) -> bool {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
    host.is_some_and(|host| {
        options.hosts.contains(host) || options.hosts.contains(&host.to_ascii_lowercase())
    })
        // Probes of a load balancer come by address.
        || matches!(request.uri().path(), "/healthz" | "/readyz")
}

/// Whether a path has a NUL. No name of ours does, and PostgreSQL would not even look.
fn has_nul(request: &Request) -> bool {
    request.uri().path().contains("%00")
}

/// Refuses posts that another site's page sent with the person's cookie.
///
/// `Sec-Fetch-Site` is believed where a browser sends it; without it `Origin`
/// must be ours. A client that sends neither is no browser and has no cookie
/// of a victim's.
pub async fn same_origin(State(door): State<Door>, request: Request, next: Next) -> Response {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return next.run(request).await;
    }
    let allowed = sent_by_us(&door.options, request.headers());
    if allowed {
        return next.run(request).await;
    }
    (
        StatusCode::FORBIDDEN,
        "this form was sent from another site and changed nothing\n",
    )
        .into_response()
}

fn sent_by_us(options: &Options, headers: &HeaderMap) -> bool {
    let word = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (word("sec-fetch-site"), word("origin")) {
        (Some("same-origin" | "none"), _) | (None, None) => true,
        (Some(_), _) => false,
        (None, Some(origin)) => {
            Url::parse(origin).is_ok_and(|origin| origin.origin() == options.issuer.origin())
        }
    }
}

/// A defect answers 500 with the trace id, and the process lives on.
pub async fn caught(request: Request, next: Next) -> Response {
    let trace = request
        .extensions()
        .get::<TraceId>()
        .map_or_else(String::new, |trace| trace.0.clone());
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!("a handler panicked");
            let body = serde_json::json!({
                "error": "server_error",
                "error_description": format!("something went wrong here; quote {trace}"),
            });
            (StatusCode::INTERNAL_SERVER_ERROR, axum::Json(body)).into_response()
        }
    }
}

/// An answer without a body.
#[must_use]
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
