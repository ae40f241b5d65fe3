//! The control of the proxy: a reverse proxy of hyper alone. It puts a credential in, keeps
//! connections to the upstream, streams both bodies, and does nothing else.

use std::convert::Infallible;

use http::header::{AUTHORIZATION, HOST};
use http::uri::{Authority, Scheme, Uri};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpListener;

use crate::meter::Result;

/// What every request is sent on with.
const CREDENTIAL: HeaderValue =
    HeaderValue::from_static("Bearer gho_0123456789abcdefghijklmnopqrstuvwxyz");

/// `attorn-bench reverse-proxy`: says its port on standard output and serves.
///
/// # Errors
/// When it cannot listen.
pub async fn serve(upstream: &str) -> Result<()> {
    let authority: Authority = upstream
        .parse()
        .map_err(|_| format!("{upstream} is no host and port"))?;
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("{}", json!({ "port": address.port() }));
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    loop {
        let (stream, _) = listener.accept().await.map_err(|error| error.to_string())?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        let (client, authority) = (client.clone(), authority.clone());
        let pass = service_fn(move |request| passed(client.clone(), authority.clone(), request));
        tokio::spawn(async move {
            // A caller that hangs up is no error of ours.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), pass)
                .await;
        });
    }
}

async fn passed(
    client: Client<HttpConnector, Incoming>,
    authority: Authority,
    mut request: Request<Incoming>,
) -> std::result::Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
    // What the caller calls `/proxy/NAME/PATH` is `/PATH` there.
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let path = path.strip_prefix("/proxy/").unwrap_or(path);
    let path = path.find('/').map_or("/", |at| &path[at..]);
    let uri = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query(path)
        .build();
    let Ok(uri) = uri else {
        return Ok(failed(StatusCode::BAD_REQUEST));
    };
    *request.uri_mut() = uri;
    request.headers_mut().remove(HOST);
    request.headers_mut().insert(AUTHORIZATION, CREDENTIAL);
    match client.request(request).await {
        Ok(answer) => Ok(answer.map(BodyExt::boxed)),
        Err(_) => Ok(failed(StatusCode::BAD_GATEWAY)),
    }
}

fn failed(status: StatusCode) -> Response<BoxBody<Bytes, hyper::Error>> {
    let empty = Empty::new().map_err(|never| match never {}).boxed();
    let mut answer = Response::new(empty);
    *answer.status_mut() = status;
    answer
}
