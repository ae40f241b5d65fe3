use serde_json::{Value, json};

use super::key::Key;
use super::*;
use crate::oauth::clients::{AuthMethod, ClientMetadata, register};
use crate::oauth::{ClientKind, GrantType, NewClient, Source};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct Scene {
    bench: Bench,
    client: Client,
    key: Key,
}

async fn scene() -> Scene {
    let bench = Bench::new().await;
    let key = Key::new();
    let new = NewClient {
        grant_types: vec![GrantType::ClientCredentials],
        metadata: ClientMetadata {
            token_endpoint_auth_method: Some(AuthMethod::PrivateKeyJwt),
            jwks: Some(json!({ "keys": [key.public()] })),
            ..ClientMetadata::default()
        },
        ..NewClient::confidential("Worker", Source::Admin)
    };
    let (client, secret) = register(&bench, new).await.unwrap();
    assert!(secret.is_none(), "it has no secret");
    Scene { bench, client, key }
}

impl Scene {
    fn claims(&self, jti: &str) -> Value {
        let now = self.bench.now() / 1000;
        json!({
            "iss": self.client.id, "sub": self.client.id, "aud": self.bench.settings.issuer,
            "iat": now, "exp": now + 60, "jti": jti,
        })
    }

    async fn ask(&self, assertion: &str) -> Result<TokenAnswer, OauthError> {
        let params = Params::new([
            ("grant_type", "client_credentials"),
            ("client_assertion_type", TYPE),
            ("client_assertion", assertion),
        ])?;
        token::answer(&self.bench, &RequestHead::default(), &params).await
    }

    async fn ask_with(&self, header: &Value, claims: &Value) -> Result<TokenAnswer, OauthError> {
        self.ask(&self.key.sign(header, claims)).await
    }
}

fn header() -> Value {
    json!({ "alg": "ES256", "kid": "k1" })
}

#[tokio::test]
async fn a_client_proves_itself_with_its_own_key_once_per_assertion() {
    let scene = scene().await;
    let assertion = scene.key.sign(&header(), &scene.claims("one"));
    scene.ask(&assertion).await.unwrap();
    assert_eq!(refused(scene.ask(&assertion).await), Code::InvalidClient);
    // The token endpoint is a good audience as well, and one in brackets is one.
    let mut claims = scene.claims("two");
    claims["aud"] = json!([scene.bench.settings.url("oauth/token")]);
    scene.ask_with(&header(), &claims).await.unwrap();
}

#[tokio::test]
async fn an_assertion_that_is_not_exactly_for_us_now_and_from_this_client_is_refused() {
    let scene = scene().await;
    let now = scene.bench.now() / 1000;
    for (member, value) in [
        ("iss", json!("somebody")),
        ("sub", json!("somebody")),
        ("aud", json!("https://elsewhere.test/")),
        (
            "aud",
            json!([scene.bench.settings.issuer, "https://elsewhere.test/"]),
        ),
        ("aud", Value::Null),
        ("exp", json!(now - 60)),
        ("exp", json!(now + 3 * 3600)),
        ("exp", Value::Null),
        ("nbf", json!(now + 120)),
        ("iat", json!(now + 120)),
        ("jti", Value::Null),
        ("jti", json!("")),
    ] {
        let mut claims = scene.claims("refused");
        claims[member] = value.clone();
        let answer = scene.ask_with(&header(), &claims).await;
        assert_eq!(refused(answer), Code::InvalidClient, "{member} {value}");
    }
    // None of them used the id up.
    let good = scene.claims("refused");
    scene.ask_with(&header(), &good).await.unwrap();
}

#[tokio::test]
async fn a_header_never_chooses_how_an_assertion_is_checked() {
    let scene = scene().await;
    for head in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256", "kid": "k1" }),
        json!({ "alg": "RS256", "kid": "k1" }),
        json!({ "alg": "ES256", "kid": "another" }),
        json!({ "alg": "ES256", "kid": "k1", "crit": ["exp"], "exp": 1 }),
        json!({ "alg": "ES256", "kid": "k1", "b64": false }),
    ] {
        let answer = scene.ask_with(&head, &scene.claims("x")).await;
        assert_eq!(refused(answer), Code::InvalidClient, "{head}");
    }
    // Somebody else's key, announced in the header.
    let thief = Key::new();
    let head = json!({ "alg": "ES256", "kid": "k1", "jwk": thief.public() });
    let answer = scene.ask(&thief.sign(&head, &scene.claims("x"))).await;
    assert_eq!(refused(answer), Code::InvalidClient);
}

#[tokio::test]
async fn nobody_steps_down_from_a_key_to_a_secret_or_up_from_a_secret_to_a_key() {
    let scene = scene().await;
    let params = Params::new([
        ("grant_type", "client_credentials"),
        ("client_id", scene.client.id.as_str()),
        ("client_secret", "att_cs_anything"),
    ])
    .unwrap();
    let answer = token::answer(&scene.bench, &RequestHead::default(), &params).await;
    assert_eq!(refused(answer), Code::InvalidClient);
    let bare = Params::new([
        ("grant_type", "client_credentials"),
        ("client_id", scene.client.id.as_str()),
    ])
    .unwrap();
    let answer = token::answer(&scene.bench, &RequestHead::default(), &bare).await;
    assert_eq!(refused(answer), Code::InvalidClient);

    let (other, _) = scene.bench.client("With a secret").await;
    let mut claims = scene.claims("y");
    claims["iss"] = json!(other.id);
    claims["sub"] = json!(other.id);
    let answer = scene.ask_with(&header(), &claims).await;
    assert_eq!(refused(answer), Code::InvalidClient);
}

#[tokio::test]
async fn two_ways_at_once_are_no_way() {
    let scene = scene().await;
    let assertion = scene.key.sign(&header(), &scene.claims("one"));
    let params = Params::new([
        ("grant_type", "client_credentials"),
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion.as_str()),
        ("client_secret", "att_cs_x"),
    ])
    .unwrap();
    let answer = token::answer(&scene.bench, &RequestHead::default(), &params).await;
    assert_eq!(refused(answer), Code::InvalidRequest);
}

#[tokio::test]
async fn keys_that_cannot_work_are_refused_at_registration() {
    let bench = Bench::new().await;
    let mut private = Key::new().public();
    private["d"] = json!("AAAA");
    for metadata in [
        json!({ "token_endpoint_auth_method": "private_key_jwt" }),
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [private] } }),
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [] } }),
        json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://example.com/jwks" }),
        json!({ "token_endpoint_auth_method": "none" }),
        json!({ "id_token_signed_response_alg": "none" }),
        json!({ "backchannel_token_delivery_mode": "ping" }),
        json!({ "backchannel_client_notification_endpoint": "https://example.com/cb" }),
    ] {
        let new = NewClient {
            kind: ClientKind::Confidential,
            metadata: serde_json::from_value(metadata.clone()).unwrap(),
            ..NewClient::confidential("Worker", Source::Admin)
        };
        assert!(register(&bench, new).await.is_err(), "{metadata}");
    }
}

#[tokio::test]
async fn clocks_may_differ_by_a_minute_at_most_for_an_assertion() {
    let scene = scene().await;
    let now = scene.bench.now() / 1000;
    for (number, (member, value, good)) in [
        ("exp", json!(now - 59), true),
        ("exp", json!(now - 60), false),
        ("nbf", json!(now + 60), true),
        ("nbf", json!(now + 61), false),
        ("iat", json!(now + 60), true),
        ("iat", json!(now + 61), false),
        // What cannot be judged does not pass for what is missing.
        ("nbf", json!("soon"), false),
        ("nbf", Value::Null, false),
        ("iat", json!(i64::MIN), false),
        ("iat", json!(-1), false),
        ("exp", json!(i64::MAX), false),
        ("exp", json!(1e300), false),
        ("exp", json!([now + 60]), false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = scene.claims(&format!("skew {number}"));
        claims[member] = value.clone();
        let answer = scene.ask_with(&header(), &claims).await;
        assert_eq!(answer.is_ok(), good, "{member} {value}");
    }
}
