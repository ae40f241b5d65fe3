//! The socket and its connections.
//!
//! Served by hand on hyper rather than with `axum::serve`, because a lookalike must be able to close
//! a connection without a single byte of answer.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::config::{Config, Provider};
use crate::control::Control;
use crate::line::Line;
use crate::store::{Inner, Shared};
use crate::wire::{self, Ask};
use crate::{google, pages, salesforce, slack, switches};

/// A running sandbox. Dropping it stops it: no new connections, requests under way are answered.
pub struct Sandbox {
    inner: Shared,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Sandbox {
    /// Binds IPv4 loopback and serves in the background on the current tokio runtime.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn start(config: Config) -> io::Result<Sandbox> {
        let listener = TcpListener::bind(("127.0.0.1", config.port)).await?;
        let url = format!("http://{}:{}", config.host, listener.local_addr()?.port());
        let inner: Shared = Arc::new(Inner::new(url, config));
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(accept(listener, router(inner.clone()), stopped));
        Ok(Sandbox {
            inner,
            stop,
            serving,
        })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        self.inner.url.clone()
    }

    pub fn slack_url(&self) -> String {
        self.inner.base(Provider::Slack)
    }

    pub fn google_url(&self) -> String {
        self.inner.base(Provider::Google)
    }

    pub fn salesforce_url(&self) -> String {
        self.inner.base(Provider::Salesforce)
    }

    /// The switches and the log.
    pub fn control(&self) -> Control {
        Control::new(self.inner.clone())
    }

    /// Stops and waits until every request under way has its answer. Open gates first.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // The task only ends by returning; there is nothing to do about a runtime that is shutting down.
        let _ = (&mut self.serving).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn router(inner: Shared) -> Router {
    Router::new()
        .merge(slack::routes())
        .merge(google::routes())
        .merge(salesforce::routes())
        .route("/", get(index))
        .route("/elsewhere", any(elsewhere))
        .layer(middleware::from_fn_with_state(inner.clone(), wire::door))
        .merge(switches::routes())
        .with_state(inner)
}

async fn index(State(inner): State<Shared>) -> Html<String> {
    Html(pages::index(&inner.url))
}

/// Where the redirecting faults point. Whoever comes here has carried a secret to a foreign address.
async fn elsewhere(ask: Ask) -> Response {
    axum::Json(serde_json::json!({ "followed": ask.method.as_str() })).into_response()
}

async fn accept(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), stopped.clone()));
                }
                // Out of file descriptors, most likely: give the others a chance to close theirs.
                Err(_) => tokio::task::yield_now().await,
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
    let line = Line::new(stream);
    let marked = line.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, line) = (router.clone(), marked.clone());
        async move {
            let hung_up = || io::Error::new(io::ErrorKind::ConnectionAborted, "hung up on purpose");
            if line.is_deaf() {
                return Err(hung_up());
            }
            let answer: Result<Response, Infallible> = router.oneshot(request.map(Body::new)).await;
            let Ok(answer) = answer;
            line.mark(answer).ok_or_else(hung_up)
        }
    });
    // A client that went away is no news to a lookalike.
    let connection = http1::Builder::new().serve_connection(TokioIo::new(line.clone()), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            // Nothing more to hear; finish what is under way.
            let _ = connection.await;
        }
    }
    line.end().await;
}
