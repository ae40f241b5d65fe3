//! The built client files: scripts, styles, the favicon. Read once a request
//! from the site folder, with what `cargo xtask build` compressed beside them.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::door::{Door, empty};
use evidence::digest::sha256;

/// The service worker: its policy is that of its own answer, and it fetches.
const WORKER: &str = "sw.js";

/// One file of the site folder. Names come from the route, and are checked
/// again: letters, digits, `.`, `_`, `-`, one folder deep.
pub async fn file(State(door): State<Door>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let plain = path.split('/').all(|part| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    });
    if !plain {
        return empty(StatusCode::NOT_FOUND);
    }
    let (suffix, encoding) = encoding(request.headers());
    let full = door.options.site_root.join(path);
    let mut found = None;
    if let Some(suffix) = suffix
        && let Ok(bytes) = tokio::fs::read(format!("{}.{suffix}", full.display())).await
    {
        found = Some((bytes, Some(encoding)));
    }
    if found.is_none()
        && let Ok(bytes) = tokio::fs::read(&full).await
    {
        found = Some((bytes, None));
    }
    let Some((bytes, encoding)) = found else {
        return empty(StatusCode::NOT_FOUND);
    };
    let tag = sha256(&bytes)[..12]
        .iter()
        .fold("\"".to_owned(), |tag, byte| tag + &format!("{byte:02x}"))
        + "\"";
    let fresh = request
        .headers()
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if fresh {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        Response::new(Body::from(bytes))
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(media_type(path)),
    );
    if path == WORKER {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; connect-src 'self'"),
        );
    }
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn encoding(headers: &HeaderMap) -> (Option<&'static str>, &'static str) {
    let accepted = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let takes = |name: &str| {
        accepted.split(',').any(|one| {
            let mut parts = one.split(';').map(str::trim);
            parts.next() == Some(name) && parts.next() != Some("q=0")
        })
    };
    if takes("br") {
        (Some("br"), "br")
    } else if takes("gzip") {
        (Some("gz"), "gzip")
    } else {
        (None, "identity")
    }
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}
