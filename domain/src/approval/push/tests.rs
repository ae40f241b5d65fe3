use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;
use zeroize::Zeroizing;

use super::encrypt::{EncryptError, LONGEST, Once, USUAL, encrypt, encrypt_padded, record};
use super::subscriptions::{self, NewSubscription, SubscribeError, Subscription};
use super::vapid::{VapidError, application_server_key, authorization};
use super::*;
use crate::audit::Kind;
use crate::identity::Person;
use crate::storage;
use crate::testing::Bench;

const CONTACT: &str = "mailto:ops@attorn.test";

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
}

/// The browser of RFC 8291, appendix A: its keys, and the private one.
fn browser() -> (Keys, [u8; 32]) {
    let keys = Keys {
        p256dh: bytes(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        ),
        auth: Secret::new(bytes("BTBZMqHH6r4Tts7J_aSIgg")),
    };
    (keys, bytes("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
}

/// The randomness of RFC 8291, appendix A.
fn once() -> Once {
    Once {
        salt: bytes("DGv6ra1nlYgDCS1FRnbzlw"),
        private_key: Zeroizing::new(bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")),
    }
}

/// HMAC-SHA-256, cut: HKDF's first block, written out as RFC 8291 §3.4 does.
fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().to_vec()
}

/// What the browser does with a body: the payload and its padding, still together.
fn opened(keys: &Keys, private: &[u8; 32], body: &[u8]) -> Option<Vec<u8>> {
    let (salt, rest) = body.split_first_chunk::<16>()?;
    let (head, rest) = rest.split_first_chunk::<5>()?;
    assert_eq!(head, &[0, 0, 16, 0, 65]);
    let (sender, sealed) = rest.split_first_chunk::<65>()?;
    let own = PrivateKey::from_private_key(&ECDH_P256, private).unwrap();
    let peer = UnparsedPublicKey::new(&ECDH_P256, sender);
    let secret = agree(&own, peer, (), |secret| Ok(secret.to_vec())).ok()?;
    let prk = hmac_sha256(keys.auth.expose(), &[&secret]);
    let ikm = hmac_sha256(&prk, &[b"WebPush: info\0", &keys.p256dh, sender, &[1]]);
    let prk = hmac_sha256(salt, &[&ikm]);
    let cek = &hmac_sha256(&prk, &[b"Content-Encoding: aes128gcm\0\x01"])[..16];
    let nonce = &hmac_sha256(&prk, &[b"Content-Encoding: nonce\0\x01"])[..12];
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, cek).unwrap());
    let mut plain = sealed.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
    let plain = key.open_in_place(nonce, Aad::empty(), &mut plain).ok()?;
    Some(plain.to_vec())
}

#[test]
fn the_message_of_rfc_8291_appendix_a_is_made_to_the_byte() {
    let payload = b"When I grow up, I want to be a watermelon";
    let body = encrypt_padded(&browser().0, payload, payload.len(), &once()).unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD.encode(body),
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    );
}

#[test]
fn a_padded_message_is_the_one_that_another_implementation_opened() {
    // Made with python-cryptography, opened by http_ece 1.2.1.
    let payload = b"When I grow up, I want to be a watermelon";
    let body = encrypt(&browser().0, payload, &once()).unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD.encode(crate::keyring::sha256(&body)),
        "SxBIMV4zZIhPWxkLPB4-lsNg5oQaLU6VTYxRvY1S1Ag"
    );
}

#[test]
fn the_record_of_rfc_8188_section_3_1_is_made_to_the_byte() {
    let payload = b"I am the walrus";
    let body = record(
        &bytes::<16>("yqdlZ-tYemfogSmv7Ws5PQ"),
        &bytes("I1BsxtFttlv3u_Oo94xnmw"),
        b"",
        payload,
        payload.len(),
    );
    assert_eq!(
        URL_SAFE_NO_PAD.encode(body.unwrap()),
        "I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg"
    );
}

#[test]
fn a_body_tells_nothing_of_the_payloads_length() {
    let (keys, private) = browser();
    for (length, padded) in [
        (0, USUAL),
        (1, USUAL),
        (USUAL, USUAL),
        (USUAL + 1, LONGEST),
        (LONGEST, LONGEST),
    ] {
        let payload = vec![7; length];
        let body = encrypt(&keys, &payload, &once()).unwrap();
        assert_eq!(body.len(), 86 + padded + 17);
        assert!(body.len() <= 4096);
        let plain = opened(&keys, &private, &body).unwrap();
        let (read, padding) = plain.split_at(length);
        assert_eq!(read, payload);
        assert_eq!(padding[0], 2);
        assert!(padding[1..].iter().all(|byte| *byte == 0));
    }
    let long = encrypt(&keys, &[0; LONGEST + 1], &once());
    assert_eq!(long, Err(EncryptError::TooLong));
}

#[test]
fn a_key_that_is_no_point_of_the_curve_is_refused() {
    let mut keys = browser().0;
    keys.p256dh[64] ^= 1;
    assert_eq!(encrypt(&keys, b"", &once()), Err(EncryptError::Key));
    let mut keys = browser().0;
    keys.p256dh[0] = 6;
    assert_eq!(encrypt(&keys, b"", &once()), Err(EncryptError::Key));
    keys.p256dh = [0; 65];
    assert_eq!(encrypt(&keys, b"", &once()), Err(EncryptError::Key));
}

proptest! {
    #[test]
    fn a_flipped_bit_never_opens(payload in any::<Vec<u8>>(), at in 0_usize..1127, bit in 0_u8..8) {
        let (keys, private) = browser();
        let mut body = encrypt(&keys, &payload, &once()).unwrap();
        prop_assert!(opened(&keys, &private, &body).is_some());
        // Record size and key id length are the reader's to check.
        if !(16..21).contains(&at) {
            body[at] ^= 1 << bit;
            prop_assert!(opened(&keys, &private, &body).is_none());
        }
    }
}

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

fn new_subscription(endpoint: &str) -> NewSubscription {
    let keys = browser().0;
    NewSubscription {
        endpoint: endpoint.parse().unwrap(),
        p256dh: keys.p256dh.to_vec(),
        auth: Secret::new(keys.auth.expose().to_vec()),
        name: " Phone ".to_owned(),
    }
}

async fn subscribed(bench: &Bench, person: &Person, endpoint: &str) -> Subscription {
    subscriptions::subscribe(bench, &person.id, new_subscription(endpoint))
        .await
        .unwrap()
}

async fn events(bench: &Bench, kind: Kind) -> i64 {
    let sql = "select count(*) as n from events where kind = $1";
    let mut reader = bench.store.reader().await.unwrap();
    let row = reader.optional(sql, vec![kind.word().into()]).await;
    row.unwrap().unwrap().get("n").unwrap()
}

const ENDPOINT: &str = "https://push.example/send/abc";

#[tokio::test]
async fn a_browser_is_told_until_it_is_taken_away() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let eve = bench.person("eve@example.com").await;
    let made = subscribed(&bench, &ada, ENDPOINT).await;
    assert_eq!((&*made.name, &*made.host), ("Phone", "push.example"));
    let listed = subscriptions::list(&bench, &ada.id).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&made));
    let targets = subscriptions::targets(&bench, &ada.id).await.unwrap();
    assert_eq!(targets.len(), 1);
    assert_eq!(targets[0].endpoint.as_str(), ENDPOINT);
    assert_eq!(targets[0].keys.p256dh, browser().0.p256dh);
    assert_eq!(targets[0].keys.auth.expose(), browser().0.auth.expose());
    let others = subscriptions::unsubscribe(&bench, &eve.id, &made.id).await;
    assert!(matches!(others, Err(SubscribeError::NotFound)));
    subscriptions::unsubscribe(&bench, &ada.id, &made.id)
        .await
        .unwrap();
    let twice = subscriptions::unsubscribe(&bench, &ada.id, &made.id).await;
    assert!(matches!(twice, Err(SubscribeError::NotFound)));
    assert!(
        subscriptions::list(&bench, &ada.id)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(events(&bench, Kind::PushSubscribed).await, 1);
    assert_eq!(events(&bench, Kind::PushUnsubscribed).await, 1);
    // What is left of it sends nothing.
    let mut reader = bench.store.reader().await.unwrap();
    let left = reader
        .optional("select * from push_subscriptions", vec![])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        left.get::<String>("endpoint").unwrap(),
        "https://push.example/"
    );
    assert_eq!(left.get::<Option<Vec<u8>>>("auth_sealed").unwrap(), None);
    assert_eq!(left.get::<Option<Vec<u8>>>("data_key").unwrap(), None);
}

#[tokio::test]
async fn a_browser_belongs_to_who_subscribed_with_it_last() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let eve = bench.person("eve@example.com").await;
    subscribed(&bench, &ada, ENDPOINT).await;
    let again = subscribed(&bench, &ada, ENDPOINT).await;
    let listed = subscriptions::list(&bench, &ada.id).await.unwrap();
    assert_eq!(listed, [again]);
    let eves = subscribed(&bench, &eve, ENDPOINT).await;
    assert!(
        subscriptions::list(&bench, &ada.id)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(subscriptions::list(&bench, &eve.id).await.unwrap(), [eves]);
}

#[tokio::test]
async fn the_secret_of_a_subscription_is_not_in_the_database_in_clear() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    subscribed(&bench, &ada, ENDPOINT).await;
    let mut reader = bench.store.reader().await.unwrap();
    let row = reader
        .optional("select auth_sealed from push_subscriptions", vec![])
        .await
        .unwrap()
        .unwrap();
    let sealed: Vec<u8> = row.get("auth_sealed").unwrap();
    let (auth, text) = (browser().0.auth, b"BTBZMqHH6r4Tts7J_aSIgg");
    assert!(!sealed.windows(16).any(|window| window == auth.expose()));
    assert!(!sealed.windows(text.len()).any(|window| window == text));
}

#[tokio::test]
async fn how_a_delivery_ended_is_noted() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let made = subscribed(&bench, &ada, ENDPOINT).await;
    let note = async |outcome: Outcome| {
        subscriptions::note(&bench, &made.id, &outcome)
            .await
            .unwrap();
        subscriptions::list(&bench, &ada.id).await.unwrap()
    };
    let retry = Outcome::Retry {
        after: None,
        why: String::new(),
    };
    assert_eq!(note(retry.clone()).await[0].failures, 1);
    assert_eq!(note(Outcome::Refused { status: 400 }).await[0].failures, 2);
    bench.advance(Duration::from_secs(1));
    let after = note(Outcome::Delivered).await;
    assert_eq!(after[0].failures, 0);
    assert_eq!(after[0].last_used_at, Some(bench.now()));
    for _ in 0..19 {
        assert_eq!(note(retry.clone()).await.len(), 1);
    }
    assert!(note(retry).await.is_empty());
    let made = subscribed(&bench, &ada, ENDPOINT).await;
    subscriptions::note(&bench, &made.id, &Outcome::Gone)
        .await
        .unwrap();
    assert!(
        subscriptions::list(&bench, &ada.id)
            .await
            .unwrap()
            .is_empty()
    );
    subscriptions::note(&bench, &made.id, &Outcome::Delivered)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_subscription_that_could_not_be_sent_to_is_refused() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let changes: [fn(&mut NewSubscription); 4] = [
        |new| new.p256dh[3] ^= 1,
        |new| new.p256dh.truncate(33),
        |new| new.auth = Secret::new(vec![1; 15]),
        |new| new.p256dh.clear(),
    ];
    for change in changes {
        let mut new = new_subscription(ENDPOINT);
        change(&mut new);
        let refused = subscriptions::subscribe(&bench, &ada.id, new).await;
        assert!(matches!(refused, Err(SubscribeError::Keys)));
    }
    for bad in [
        "ftp://push.example/",
        "data:x",
        &format!("{ENDPOINT}{}", "x".repeat(2048)),
    ] {
        let refused = subscriptions::subscribe(&bench, &ada.id, new_subscription(bad)).await;
        assert!(matches!(refused, Err(SubscribeError::Endpoint)), "{bad}");
    }
    let mut new = new_subscription(ENDPOINT);
    new.name = "\u{7}".to_owned();
    let refused = subscriptions::subscribe(&bench, &ada.id, new).await;
    assert!(matches!(refused, Err(SubscribeError::Name)));
    for number in 0..subscriptions::MOST {
        subscribed(&bench, &ada, &format!("{ENDPOINT}{number}")).await;
    }
    let refused = subscriptions::subscribe(&bench, &ada.id, new_subscription(ENDPOINT)).await;
    assert!(matches!(refused, Err(SubscribeError::TooMany)));
}

#[tokio::test]
async fn a_row_that_sends_notices_elsewhere_is_refused() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let eve = Arc::new(bench.person("eve@example.com").await);
    subscribed(&bench, &ada, ENDPOINT).await;
    let id = eve.id.clone();
    let done: Result<u64, storage::Error> = bench
        .store
        .write(move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let sql = "update push_subscriptions set person_id = $1";
                tx.execute(sql, vec![id.into()]).await
            })
        })
        .await;
    assert_eq!(done.unwrap(), 1);
    let refused = subscriptions::targets(&bench, &eve.id).await;
    assert!(matches!(
        refused,
        Err(SubscribeError::Storage(storage::Error::BadRow {
            column: "mac",
            ..
        }))
    ));
}
