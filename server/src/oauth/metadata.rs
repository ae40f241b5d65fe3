//! What we say about ourselves.

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use domain::oauth::metadata;
use serde_json::Value;

use crate::door::{Door, empty};

fn document(body: &Value) -> Response {
    let mut response = super::json(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.remove(header::PRAGMA);
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    response
}

/// OpenID Connect Discovery 1.0.
pub async fn openid_configuration(State(door): State<Door>) -> Response {
    document(&metadata::openid_configuration(&door.engine))
}

/// RFC 8414.
pub async fn authorization_server(State(door): State<Door>) -> Response {
    document(&metadata::authorization_server(&door.engine))
}

/// RFC 9728, for each resource server that we are.
pub async fn protected_resource(
    State(door): State<Door>,
    Path(resource): Path<String>,
) -> Response {
    let which = match resource.as_str() {
        "proxy" => metadata::Resource::Proxy,
        "me" => metadata::Resource::Me,
        _ => return empty(StatusCode::NOT_FOUND),
    };
    document(&metadata::protected_resource(&door.engine, which))
}

/// The types of `authorization_details` that an approval may be about.
pub async fn details_types(State(door): State<Door>) -> Response {
    document(&metadata::details_types(&door.engine))
}

/// The JSON Schema of one of them.
pub async fn details_schema(State(door): State<Door>, Path(name): Path<String>) -> Response {
    let Some(schema) = metadata::details_schema(&door.engine, &name) else {
        return empty(StatusCode::NOT_FOUND);
    };
    let mut response = document(&schema);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/schema+json"),
    );
    response
}

/// RFC 7517.
pub async fn jwks(State(door): State<Door>) -> Response {
    document(&metadata::jwks(&door.engine))
}
