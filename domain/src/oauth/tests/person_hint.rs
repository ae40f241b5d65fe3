//! The hints of an approval request other than `login_hint`.

use serde_json::{Value, json};

use super::key::Key;
use super::*;
use crate::identity::Person;
use crate::oauth::backchannel;
use crate::oauth::clients::{ClientMetadata, NewClient, Source};

struct Scene {
    bench: Bench,
    ada: Person,
    client: Client,
    secret: Secret<String>,
    key: Key,
}

impl Scene {
    async fn new() -> Self {
        let bench = Bench::new().await;
        let ada = bench.person("ada@example.com").await;
        let key = Key::new();
        let new = NewClient {
            redirect_uris: vec!["https://agent.test/callback".to_owned()],
            metadata: ClientMetadata {
                jwks: Some(json!({ "keys": [key.public()] })),
                ..ClientMetadata::default()
            },
            ..NewClient::confidential("Agent", Source::Admin)
        };
        let (client, secret) = bench.register(new).await;
        Self {
            bench,
            ada,
            client,
            secret,
            key,
        }
    }

    async fn ask(&self, hint: &str, token: &str) -> Result<(), OauthError> {
        let params = Params::new([
            ("client_id", self.client.id.as_str()),
            ("client_secret", self.secret.expose()),
            ("scope", "openid"),
            (hint, token),
        ])?;
        backchannel::answer(&self.bench, &RequestHead::default(), &params)
            .await
            .map(|_| ())
    }

    async fn ask_with(&self, changes: &Value) -> Result<(), OauthError> {
        let now = self.bench.now() / 1000;
        let mut claims = json!({
            "iss": self.client.id, "aud": self.bench.settings.issuer,
            "iat": now, "exp": now + 300, "sub": self.ada.id,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        let token = self
            .key
            .sign(&json!({ "alg": "ES256", "kid": "k1" }), &claims);
        self.ask("login_hint_token", &token).await
    }
}

#[tokio::test]
async fn an_id_token_of_the_client_names_its_person_even_when_it_has_run_out() {
    let scene = Scene::new().await;
    let tokens = scene
        .bench
        .tokens(&scene.client, &scene.ada, "openid")
        .await;
    let id_token = tokens.id_token.unwrap();
    scene
        .bench
        .advance(std::time::Duration::from_secs(7 * 24 * 60 * 60));
    scene.ask("id_token_hint", id_token.expose()).await.unwrap();
    assert_eq!(
        events(&scene.bench, crate::audit::Kind::ApprovalRequested).await,
        1
    );
}

#[tokio::test]
async fn an_id_token_of_another_client_and_an_access_token_name_nobody() {
    let scene = Scene::new().await;
    let (other, _) = scene.bench.client("Other").await;
    let others = scene.bench.tokens(&other, &scene.ada, "openid").await;
    let own = scene
        .bench
        .tokens(&scene.client, &scene.ada, "openid")
        .await;
    for token in [
        others.id_token.unwrap().expose().as_str(),
        own.access_token.expose(),
        "x",
    ] {
        let refused = scene.ask("id_token_hint", token).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidRequest);
    }
}

#[tokio::test]
async fn a_login_hint_token_signed_by_the_client_names_its_person() {
    let scene = Scene::new().await;
    scene
        .bench
        .tokens(&scene.client, &scene.ada, "openid")
        .await;
    scene.ask_with(&json!({})).await.unwrap();
    let (issuer, id) = (&scene.bench.settings.issuer, &scene.ada.id);
    for subject in [
        json!({ "format": "opaque", "id": id }),
        json!({ "format": "iss_sub", "iss": issuer, "sub": id }),
        json!({ "format": "email", "email": "ada@example.com" }),
    ] {
        let changes = json!({ "sub": null, "sub_id": subject });
        scene.ask_with(&changes).await.unwrap();
    }
}

#[tokio::test]
async fn a_login_hint_token_that_is_not_in_order_names_nobody() {
    let scene = Scene::new().await;
    scene
        .bench
        .tokens(&scene.client, &scene.ada, "openid")
        .await;
    let now = scene.bench.now() / 1000;
    for (changes, code) in [
        (json!({ "exp": now - 61 }), Code::ExpiredLoginHintToken),
        (json!({ "exp": now + 7200 }), Code::InvalidRequest),
        (json!({ "exp": null }), Code::InvalidRequest),
        (json!({ "iat": now + 120 }), Code::InvalidRequest),
        (json!({ "iss": "somebody" }), Code::InvalidRequest),
        (
            json!({ "aud": "https://else.example/" }),
            Code::InvalidRequest,
        ),
        (json!({ "sub": null }), Code::InvalidRequest),
        (
            json!({ "sub_id": { "format": "did" } }),
            Code::InvalidRequest,
        ),
        // Two subjects: what stands in `sub_id` counts, and it is nobody.
        (
            json!({ "sub_id": { "format": "email", "email": "bob@example.com" } }),
            Code::UnknownUserId,
        ),
        // A client's own assertion is about the client, not about a person.
        (json!({ "sub": scene.client.id }), Code::UnknownUserId),
    ] {
        let refused = scene.ask_with(&changes).await.unwrap_err();
        assert_eq!(refused.code, code, "{changes}");
    }
    let claims = json!({
        "iss": scene.client.id, "aud": scene.bench.settings.issuer,
        "exp": now + 300, "sub": scene.ada.id,
    });
    let foreign = Key::new().sign(&json!({ "alg": "ES256", "kid": "k1" }), &claims);
    let unsigned = scene.key.sign(&json!({ "alg": "none" }), &claims);
    for token in [foreign, unsigned, "x".to_owned()] {
        let refused = scene.ask("login_hint_token", &token).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidRequest);
    }
}

#[tokio::test]
async fn clocks_may_differ_by_a_minute_at_most_for_a_login_hint_token() {
    let scene = Scene::new().await;
    scene
        .bench
        .tokens(&scene.client, &scene.ada, "openid")
        .await;
    let now = scene.bench.now() / 1000;
    for (changes, good) in [
        (json!({ "exp": now - 59 }), true),
        (json!({ "exp": now - 60 }), false),
        (json!({ "iat": now + 60 }), true),
        (json!({ "iat": now + 61 }), false),
        (json!({ "nbf": now + 60 }), true),
        (json!({ "nbf": now + 61 }), false),
        (json!({ "nbf": "soon" }), false),
        (json!({ "iat": i64::MIN }), false),
        (json!({ "exp": i64::MAX }), false),
    ] {
        assert_eq!(scene.ask_with(&changes).await.is_ok(), good, "{changes}");
    }
}
