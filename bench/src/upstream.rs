//! Who lies behind the proxies: a provider that an account can be linked at, with an API that
//! answers a kilobyte, and bodies as long as may be.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use serde_json::json;

use crate::control::announced;
use crate::meter::Result;

/// A mebibyte.
pub const MIB: u64 = 1024 * 1024;
/// How much of a long body is sent at a time.
const PIECE: &[u8] = &[b'x'; 64 * 1024];

/// A body of so many bytes, which nobody holds.
pub struct Long(u64);

impl Long {
    /// Of so many mebibytes.
    pub const fn of(mib: u64) -> Self {
        Self(mib * MIB)
    }
}

impl HttpBody for Long {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        let piece = usize::try_from(self.0)
            .unwrap_or(usize::MAX)
            .min(PIECE.len());
        self.0 -= piece as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE[..piece])))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

/// `attorn-bench upstream`: says its port on standard output and serves.
///
/// # Errors
/// When it cannot listen.
pub async fn serve() -> Result<()> {
    let router = Router::new()
        .route("/login/oauth/authorize", get(authorize))
        .route("/login/oauth/access_token", post(token))
        .route("/user", get(user))
        .route("/small", post(small))
        .route("/long/{mib}", get(long))
        .route("/take", post(take));
    announced(router).await
}

/// Everybody agrees at once.
async fn authorize(Query(asked): Query<Vec<(String, String)>>) -> Response {
    let value = |name: &str| {
        let found = asked.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let Ok(mut back) = url::Url::parse(value("redirect_uri")) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    back.query_pairs_mut()
        .append_pair("code", "code")
        .append_pair("state", value("state"));
    (StatusCode::FOUND, [(header::LOCATION, back.to_string())]).into_response()
}

async fn token() -> Response {
    let token = json!({
        "access_token": "gho_0123456789abcdefghijklmnopqrstuvwxyz", "token_type": "bearer", "scope": "read:user",
    });
    axum::Json(token).into_response()
}

async fn user() -> Response {
    axum::Json(json!({ "id": 1, "login": "person" })).into_response()
}

/// A kilobyte for a kilobyte.
async fn small(body: Bytes) -> Response {
    let padding = "x".repeat(1000);
    axum::Json(json!({ "took": body.len(), "padding": padding })).into_response()
}

async fn long(Path(mib): Path<u64>) -> Response {
    let plain = [(header::CONTENT_TYPE, "application/octet-stream")];
    (plain, Body::new(Long::of(mib))).into_response()
}

/// Takes a body of any length; says how long it was.
async fn take(mut body: Body) -> Response {
    let mut took = 0;
    while let Some(Ok(frame)) = body.frame().await {
        took += frame.data_ref().map_or(0, Bytes::len);
    }
    axum::Json(json!({ "took": took })).into_response()
}
