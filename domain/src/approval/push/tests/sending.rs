use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use super::super::vapid::{VapidError, application_server_key, authorization};
use super::super::{Outcome, Push, Topic, Urgency, send};
use super::{CONTACT, browser, bytes, opened};
use crate::storage;
use crate::testing::Bench;

#[tokio::test]
async fn the_token_says_who_we_are_to_one_push_service_for_half_a_day() {
    let bench = Bench::new().await;
    let endpoint: Url = "https://push.example:8443/send/abc?x=1".parse().unwrap();
    let key = bench.keys.vapid();
    let header = authorization(key, &endpoint, CONTACT, bench.now()).unwrap();
    assert!(header.is_sensitive());
    let text = header.to_str().unwrap();
    let (token, public) = text
        .strip_prefix("vapid t=")
        .and_then(|rest| rest.split_once(", k="))
        .unwrap();
    assert_eq!(public, application_server_key(&key.jwk).unwrap());
    assert_eq!(bytes::<65>(public)[0], 4);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(key.jwk.verifies_es256(signed.as_bytes(), &signature));
    let (head, claims) = signed.split_once('.').unwrap();
    let read = |text: &str| -> serde_json::Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    };
    assert_eq!(
        read(head),
        serde_json::json!({"typ": "JWT", "alg": "ES256"})
    );
    let expected = serde_json::json!({
        "aud": "https://push.example:8443",
        "exp": bench.now() / 1000 + 43_200,
        "sub": CONTACT,
    });
    assert_eq!(read(claims), expected);
}

#[tokio::test]
async fn a_token_needs_a_contact_an_origin_and_an_es256_key() {
    let bench = Bench::new().await;
    let endpoint: Url = "https://push.example/".parse().unwrap();
    let key = bench.keys.vapid();
    for contact in ["", "ops@attorn.test", "mailto:", "http://attorn.test"] {
        let refused = authorization(key, &endpoint, contact, 0);
        assert!(matches!(refused, Err(VapidError::Contact)), "{contact}");
    }
    authorization(key, &endpoint, "https://attorn.test/contact", 0).unwrap();
    let no_origin: Url = "data:text/plain,x".parse().unwrap();
    let refused = authorization(key, &no_origin, CONTACT, 0);
    assert!(matches!(refused, Err(VapidError::Endpoint)));
    let refused = authorization(bench.keys.log(), &endpoint, CONTACT, 0);
    assert!(matches!(refused, Err(VapidError::Key)));
}

#[tokio::test]
async fn the_key_stays_and_a_database_that_has_none_gets_one() {
    let bench = Bench::new().await;
    let first = bench.keys.vapid().jwk.clone();
    let bench = bench.restart().await;
    assert_eq!(bench.keys.vapid().jwk, first);
    let done: Result<u64, storage::Error> = bench
        .store
        .write(|tx| {
            Box::pin(async move {
                tx.execute("delete from keys where purpose = 'vapid'", vec![])
                    .await
            })
        })
        .await;
    assert_eq!(done.unwrap(), 1);
    let bench = bench.restart().await;
    let second = bench.keys.vapid().jwk.clone();
    assert_ne!(second, first);
    let bench = bench.restart().await;
    assert_eq!(bench.keys.vapid().jwk, second);
    // It signs no tokens of ours.
    assert!(
        bench
            .keys
            .jwks(bench.now())
            .iter()
            .all(|key| *key != second)
    );
}

/// A push service that answers one request, and what it was sent.
async fn service(answer: &'static str) -> (Url, tokio::task::JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        let (head, body) = loop {
            let mut chunk = [0; 4096];
            let count = socket.read(&mut chunk).await.unwrap();
            assert!(count > 0, "the request ends early");
            read.extend_from_slice(&chunk[..count]);
            let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8(read[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            let body = &read[end + 4..];
            if body.len() >= length {
                break (head, body.to_vec());
            }
        };
        socket.write_all(answer.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
        (head, body)
    });
    (
        format!("http://{address}/send/abc").parse().unwrap(),
        served,
    )
}

async fn pushed(bench: &Bench, endpoint: &Url) -> Outcome {
    let topic = Topic::of("apr_1");
    let push = Push {
        endpoint,
        keys: &browser().0,
        payload: b"{\"approval\":\"apr_1\"}",
        ttl_s: 300,
        urgency: Urgency::High,
        topic: Some(&topic),
    };
    send(bench, bench.keys.vapid(), CONTACT, &push)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_push_arrives_with_its_headers_and_opens_in_the_browser() {
    let bench = Bench::new().await;
    let (endpoint, served) =
        service("HTTP/1.1 201 Created\r\ncontent-length: 0\r\nlocation: /m/1\r\n\r\n").await;
    assert_eq!(pushed(&bench, &endpoint).await, Outcome::Delivered);
    let (head, body) = served.await.unwrap();
    let head = head.to_lowercase();
    assert!(head.starts_with("post /send/abc http/1.1"));
    let topic = format!("topic: {}", Topic::of("apr_1").as_str().to_lowercase());
    for line in [
        "ttl: 300",
        "urgency: high",
        "content-encoding: aes128gcm",
        "content-type: application/octet-stream",
        &topic,
    ] {
        assert!(head.lines().any(|sent| sent == line), "{line} in {head}");
    }
    assert!(head.contains("authorization: vapid t="));
    let (keys, private) = browser();
    let plain = opened(&keys, &private, &body).unwrap();
    assert!(plain.starts_with(b"{\"approval\":\"apr_1\"}\x02"));
}

#[tokio::test]
async fn what_a_push_service_answers_has_one_meaning() {
    let bench = Bench::new().await;
    let retry = |after: Option<u64>, status: u16| Outcome::Retry {
        after: after.map(Duration::from_secs),
        why: format!("answered {status}"),
    };
    for (answer, expected) in [
        ("200 OK\r\n", Outcome::Delivered),
        ("202 Accepted\r\n", Outcome::Delivered),
        ("404 Not Found\r\n", Outcome::Gone),
        ("410 Gone\r\n", Outcome::Gone),
        (
            "429 Too Many Requests\r\nretry-after: 7\r\n",
            retry(Some(7), 429),
        ),
        ("429 Too Many Requests\r\n", retry(None, 429)),
        (
            "503 Unavailable\r\nretry-after: 9999999\r\n",
            retry(Some(3600), 503),
        ),
        ("500 Error\r\n", retry(None, 500)),
        ("400 Bad Request\r\n", Outcome::Refused { status: 400 }),
        ("403 Forbidden\r\n", Outcome::Refused { status: 403 }),
        ("413 Too Large\r\n", Outcome::Refused { status: 413 }),
        (
            "307 Moved\r\nlocation: http://127.0.0.1/\r\n",
            Outcome::Refused { status: 307 },
        ),
    ] {
        let answer: &'static str =
            Box::leak(format!("HTTP/1.1 {answer}content-length: 0\r\n\r\n").into_boxed_str());
        let (endpoint, served) = service(answer).await;
        assert_eq!(pushed(&bench, &endpoint).await, expected, "{answer}");
        served.await.unwrap();
    }
}

#[tokio::test]
async fn a_push_service_that_is_away_is_tried_again_and_a_private_one_is_never_called() {
    let bench = Bench::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for endpoint in [
        format!("http://{address}/"),
        "https://10.0.0.1/".to_owned(),
        "http://push.example/".to_owned(),
    ] {
        let outcome = pushed(&bench, &endpoint.parse().unwrap()).await;
        assert!(
            matches!(outcome, Outcome::Retry { after: None, .. }),
            "{endpoint}"
        );
    }
}

#[test]
fn a_topic_is_one_requests_and_has_32_characters() {
    let topic = Topic::of("apr_1");
    assert_eq!(topic, Topic::of("apr_1"));
    assert_ne!(topic, Topic::of("apr_2"));
    assert_eq!(topic.as_str().len(), 32);
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    assert!(topic.as_str().bytes().all(base64url));
}
