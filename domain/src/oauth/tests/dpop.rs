use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::time::Duration;

use super::key::Key;
use super::*;
use crate::keyring::sha256;
use crate::oauth::{self, ClientKind, ClientMetadata, GrantType, NewClient, Source, dpop, token};

const URL: &str = "https://attorn.test/oauth/token";

struct Scene {
    bench: Bench,
    client: Client,
    secret: Secret<String>,
    key: Key,
}

async fn scene() -> Scene {
    let bench = Bench::new().await;
    let (client, secret) = bench.client("Agent").await;
    let key = Key::new();
    Scene {
        bench,
        client,
        secret,
        key,
    }
}

impl Scene {
    fn claims(&self, jti: &str) -> Value {
        json!({
            "jti": jti, "htm": "POST", "htu": URL, "iat": self.bench.now() / 1000,
            "nonce": dpop::nonce(&self.bench),
        })
    }

    fn proof(&self, claims: &Value) -> String {
        let mut jwk = self.key.public();
        jwk.as_object_mut().unwrap().remove("kid");
        self.key.sign(
            &json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk }),
            claims,
        )
    }

    fn head(&self, proof: String) -> RequestHead {
        RequestHead {
            dpop: Some(proof),
            method: "POST".to_owned(),
            url: URL.to_owned(),
            ..RequestHead::default()
        }
    }

    async fn ask(&self, proof: String) -> Result<TokenAnswer, OauthError> {
        let params = Params::new([
            ("grant_type", "client_credentials"),
            ("client_id", self.client.id.as_str()),
            ("client_secret", self.secret.expose()),
        ])?;
        token::answer(&self.bench, &self.head(proof), &params).await
    }
}

#[tokio::test]
async fn a_bound_token_works_with_a_proof_of_its_key_and_in_no_other_way() {
    let scene = scene().await;
    let answer = scene.ask(scene.proof(&scene.claims("one"))).await.unwrap();
    assert!(answer.body().expose().contains(r#""token_type":"DPoP""#));
    let (token, issuer) = (answer.access_token.expose(), &scene.bench.settings.issuer);
    let ath = URL_SAFE_NO_PAD.encode(sha256(token.as_bytes()));
    let present = |scheme: &str, claims: Value| {
        let proof = scene.proof(&claims);
        let head = RequestHead {
            authorization: Some(format!("{scheme} {token}")),
            ..scene.head(proof)
        };
        let (engine, issuer) = (scene.bench.engine.clone(), issuer.clone());
        async move {
            oauth::present(&engine, &head, &issuer)
                .await
                .map_err(|error| error.code)
        }
    };
    let mut claims = scene.claims("two");
    claims["ath"] = json!(ath);
    let presented = present("DPoP", claims.clone()).await.unwrap();
    assert!(presented.jkt.is_some());
    // The same proof again; a proof for another token; the token as a plain one.
    assert_eq!(
        present("DPoP", claims.clone()).await,
        Err(Code::InvalidDpopProof)
    );
    assert_eq!(
        present("DPoP", scene.claims("three")).await,
        Err(Code::InvalidDpopProof)
    );
    claims["jti"] = json!("four");
    assert_eq!(present("Bearer", claims).await, Err(Code::InvalidToken));
    // Somebody else's key.
    let thief = Scene {
        key: Key::new(),
        bench: Bench::new().await,
        client: scene.client.clone(),
        secret: scene.secret.clone(),
    };
    let mut claims = scene.claims("five");
    claims["ath"] = json!(ath);
    let head = RequestHead {
        authorization: Some(format!("DPoP {token}")),
        ..thief.head(thief.proof(&claims))
    };
    let refused = oauth::present(&scene.bench, &head, issuer)
        .await
        .unwrap_err();
    assert_eq!(refused.code, Code::InvalidToken);
}

#[tokio::test]
async fn a_token_that_is_bound_to_no_key_is_not_taken_as_if_it_were() {
    let scene = scene().await;
    let answer = ask(
        &scene.bench,
        &scene.client,
        &scene.secret,
        &[("grant_type", "client_credentials")],
    )
    .await
    .unwrap();
    let head = RequestHead {
        authorization: Some(format!("DPoP {}", answer.access_token.expose())),
        ..scene.head(scene.proof(&scene.claims("one")))
    };
    let refused = oauth::present(&scene.bench, &head, &scene.bench.settings.issuer)
        .await
        .unwrap_err();
    assert_eq!(refused.code, Code::InvalidToken);
}

#[tokio::test]
async fn a_proof_without_a_nonce_of_ours_is_told_to_come_back_with_one() {
    let scene = scene().await;
    for nonce in [Value::Null, json!("made up")] {
        let mut claims = scene.claims("one");
        claims["nonce"] = nonce;
        assert_eq!(
            refused(scene.ask(scene.proof(&claims)).await),
            Code::UseDpopNonce
        );
    }
    // A nonce outlives its five minutes by five more, and then no longer.
    let old = dpop::nonce(&scene.bench);
    scene.bench.advance(Duration::from_secs(300));
    let mut claims = scene.claims("two");
    claims["nonce"] = json!(old);
    scene.ask(scene.proof(&claims)).await.unwrap();
    scene.bench.advance(Duration::from_secs(300));
    let mut claims = scene.claims("three");
    claims["nonce"] = json!(old);
    assert_eq!(
        refused(scene.ask(scene.proof(&claims)).await),
        Code::UseDpopNonce
    );
}

#[tokio::test]
async fn a_proof_that_is_not_exactly_for_this_request_is_refused() {
    let scene = scene().await;
    let now = scene.bench.now() / 1000;
    for (member, value) in [
        ("htm", json!("GET")),
        ("htu", json!("https://attorn.test/oauth/par")),
        ("htu", json!("https://elsewhere.test/oauth/token")),
        ("iat", json!(now - 120)),
        ("iat", json!(now + 120)),
        ("iat", Value::Null),
        ("jti", Value::Null),
    ] {
        let mut claims = scene.claims("x");
        claims[member] = value.clone();
        let answer = scene.ask(scene.proof(&claims)).await;
        assert_eq!(refused(answer), Code::InvalidDpopProof, "{member} {value}");
    }
    let mut private = scene.key.public();
    private["d"] = json!("AAAA");
    for header in [
        json!({ "typ": "JWT", "alg": "ES256", "jwk": scene.key.public() }),
        json!({ "typ": "dpop+jwt", "alg": "none", "jwk": scene.key.public() }),
        json!({ "typ": "dpop+jwt", "alg": "HS256", "jwk": scene.key.public() }),
        json!({ "typ": "dpop+jwt", "alg": "ES256" }),
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": private }),
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": Key::new().public() }),
    ] {
        let proof = scene.key.sign(&header, &scene.claims("y"));
        assert_eq!(
            refused(scene.ask(proof).await),
            Code::InvalidDpopProof,
            "{header}"
        );
    }
    // A query does not make it another address (§4.3).
    let mut claims = scene.claims("z");
    claims["htu"] = json!("https://attorn.test:443/oauth/token?x=y");
    scene.ask(scene.proof(&claims)).await.unwrap();
}

#[tokio::test]
async fn a_client_registered_for_bound_tokens_gets_no_other() {
    let bench = Bench::new().await;
    let new = NewClient {
        metadata: ClientMetadata {
            dpop_bound_access_tokens: true,
            ..ClientMetadata::default()
        },
        ..NewClient::confidential("Careful", Source::Admin)
    };
    let (client, secret) = oauth::clients::register(&bench, new).await.unwrap();
    let answer = ask(
        &bench,
        &client,
        &secret.unwrap(),
        &[("grant_type", "client_credentials")],
    )
    .await;
    assert_eq!(refused(answer), Code::InvalidDpopProof);
}

#[tokio::test]
async fn a_public_clients_refresh_token_is_bound_to_the_key_of_its_code() {
    let scene = scene().await;
    let new = NewClient {
        kind: ClientKind::Public,
        redirect_uris: vec!["https://app.test/cb".to_owned()],
        grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        ..NewClient::confidential("App", Source::Admin)
    };
    let (client, _) = oauth::clients::register(&scene.bench, new).await.unwrap();
    let person = scene.bench.person("anna@example.com").await;
    let code = scene
        .bench
        .code(&client, &person, "openid offline_access")
        .await;
    let redeem = |jti: &'static str, key: Option<&Key>, pairs: Vec<(&str, String)>| {
        let mut all: Vec<(String, String)> = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        all.push(("client_id".to_owned(), client.id.clone()));
        let head = key.map_or_else(RequestHead::default, |key| {
            let proof = key.sign(
                &json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.public() }),
                &scene.claims(jti),
            );
            scene.head(proof)
        });
        let engine = scene.bench.engine.clone();
        async move { token::answer(&engine, &head, &Params::new(all)?).await }
    };
    let with_code = vec![
        ("grant_type", "authorization_code".to_owned()),
        ("code", code.expose().clone()),
        ("code_verifier", crate::testing::VERIFIER.to_owned()),
    ];
    let first = redeem("one", Some(&scene.key), with_code).await.unwrap();
    let with_refresh = |answer: &TokenAnswer| {
        vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", refresh_token(answer).to_owned()),
        ]
    };
    let other = Key::new();
    assert_eq!(
        refused(redeem("two", Some(&other), with_refresh(&first)).await),
        Code::InvalidGrant
    );
    assert_eq!(
        refused(redeem("", None, with_refresh(&first)).await),
        Code::InvalidGrant
    );
    let second = redeem("three", Some(&scene.key), with_refresh(&first))
        .await
        .unwrap();
    assert!(second.bound);
}

#[tokio::test]
async fn clocks_may_differ_by_a_minute_at_most_for_a_proof() {
    let scene = scene().await;
    let now = scene.bench.now() / 1000;
    for (number, (iat, good)) in [
        (json!(now - 60), true),
        (json!(now - 61), false),
        (json!(now + 60), true),
        (json!(now + 61), false),
        // A difference that would run over is no small one.
        (json!(i64::MIN), false),
        (json!(i64::MIN + now), false),
        (json!(i64::MAX), false),
        (json!(now.to_string()), false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = scene.claims(&format!("skew {number}"));
        claims["iat"] = iat.clone();
        let answer = scene.ask(scene.proof(&claims)).await;
        assert_eq!(answer.is_ok(), good, "{iat}");
    }
}
