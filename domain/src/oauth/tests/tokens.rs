use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::identity::{How, SignIn};
use crate::keyring::SigningAlg;
use crate::oauth::{access, allow, authorize, jwt, metadata, revoke};
use crate::testing::{CHALLENGE, START, VERIFIER};

fn part(token: &str, position: usize) -> Value {
    let part = token.split('.').nth(position).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn with_header(token: &str, header: &Value) -> String {
    let rest = token.split_once('.').unwrap().1;
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

#[tokio::test]
async fn an_access_token_says_what_rfc_9068_asks_for() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, _) = bench.client("Agent").await;
    let tokens = bench.tokens(&client, &ada, "openid email").await;
    let token = tokens.access_token.expose();
    let header = part(token, 0);
    assert_eq!(
        (&header["typ"], &header["alg"]),
        (&json!("at+jwt"), &json!("ES256"))
    );
    let claims = part(token, 1);
    let now = bench.now() / 1000;
    assert_eq!(claims["iss"], bench.settings.issuer);
    assert_eq!(claims["sub"], ada.id);
    assert_eq!(claims["aud"], bench.settings.issuer);
    assert_eq!(claims["client_id"], client.id);
    assert_eq!(claims["iat"], now);
    assert_eq!(claims["exp"], now + 600);
    assert_eq!(claims["auth_time"], now);
    assert_eq!(claims["scope"], "openid email");
    assert!(claims["jti"].is_string());
    // Without offline_access there is no refresh token.
    assert!(tokens.refresh_token.is_none());
}

#[tokio::test]
async fn an_access_token_ends_by_our_clock() {
    let bench = Bench::new().await;
    let (client, _) = bench.client("Agent").await;
    let token = bench.access_token(&client, None, "https://api.test/", &[]);
    bench.advance(Duration::from_secs(599));
    access::verify(&bench, token.expose(), "https://api.test/")
        .await
        .unwrap();
    bench.advance(Duration::from_secs(1));
    assert!(
        access::verify(&bench, token.expose(), "https://api.test/")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_token_that_was_tampered_with_is_refused() {
    let bench = Bench::new().await;
    let (client, _) = bench.client("Agent").await;
    let audience = bench.settings.proxy_audience();
    let good = bench.access_token(&client, None, &audience, &[]);
    let good = good.expose();
    access::verify(&bench, good, &audience).await.unwrap();
    let kid = part(good, 0)["kid"].clone();
    let rsa = bench
        .keys
        .signing(SigningAlg::Rs256, bench.now())
        .unwrap()
        .kid
        .clone();
    let mut forged = vec![
        String::new(),
        "a.b".to_owned(),
        format!("{good}.x"),
        good.replace('.', ".."),
        good[..good.len() - 2].to_owned(),
        format!("{}AA", &good[..good.len() - 2]),
        "x".repeat(100_000),
    ];
    for header in [
        json!({"alg": "none", "typ": "at+jwt", "kid": kid}),
        json!({"alg": "HS256", "typ": "at+jwt", "kid": kid}),
        json!({"alg": "ES256", "typ": "JWT", "kid": kid}),
        json!({"alg": "ES256", "typ": "at+jwt", "kid": rsa}),
        json!({"alg": "ES256", "typ": "at+jwt", "kid": "key_none"}),
        json!({"alg": "ES256", "typ": "at+jwt"}),
        json!({"alg": "ES256", "typ": "at+jwt", "kid": kid, "crit": ["exp"]}),
    ] {
        forged.push(with_header(good, &header));
    }
    // An ID token is no access token, though we signed it.
    let claims = part(good, 1);
    forged.push(jwt::sign(&bench, SigningAlg::Rs256, "at+jwt", &claims).unwrap());
    forged.push(jwt::sign(&bench, SigningAlg::Es256, "JWT", &claims).unwrap());
    // Nor is one of another issuer with the same keys.
    let mut elsewhere = claims.clone();
    elsewhere["iss"] = "https://elsewhere.test/".into();
    forged.push(jwt::sign(&bench, SigningAlg::Es256, "at+jwt", &elsewhere).unwrap());
    for token in &forged {
        let answer = access::verify(&bench, token, &audience).await;
        assert_eq!(answer.unwrap_err().code, Code::InvalidToken, "{token}");
    }
}

#[tokio::test]
async fn a_token_for_another_audience_is_refused() {
    let bench = Bench::new().await;
    let (client, _) = bench.client("Agent").await;
    let settings = &bench.settings;
    let token = bench.access_token(&client, None, &settings.me_audience(), &[]);
    for audience in [&settings.proxy_audience(), &settings.issuer] {
        assert!(
            access::verify(&bench, token.expose(), audience)
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn an_id_token_verifies_with_the_published_key() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, _) = bench.client("Agent").await;
    let tokens = bench.tokens(&client, &ada, "openid email profile").await;
    let token = tokens.id_token.unwrap();
    // With a library that did not make it; its clock is switched off.
    let keys = metadata::jwks(&bench);
    let kid = part(token.expose(), 0)["kid"].clone();
    let key = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == kid)
        .unwrap();
    let (n, e) = (key["n"].as_str().unwrap(), key["e"].as_str().unwrap());
    let key = jsonwebtoken::DecodingKey::from_rsa_components(n, e).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.validate_exp = false;
    rules.set_audience(&[&client.id]);
    let claims = jsonwebtoken::decode::<Value>(token.expose(), &key, &rules)
        .unwrap()
        .claims;
    assert_eq!(claims["sub"], ada.id);
    assert_eq!(claims["email"], "ada@example.com");
    assert_eq!(claims["name"], "ada");
    assert_eq!(claims["exp"], bench.now() / 1000 + 600);
}

#[tokio::test]
async fn an_id_token_says_how_and_when_its_person_signed_in() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, secret) = bench.client("Agent").await;
    for how in How::ALL {
        // A client may wish for a way (`acr_values`); it is told which it was.
        let params = Params::new([
            ("response_type", "code"),
            ("client_id", client.id.as_str()),
            ("redirect_uri", "https://agent.test/callback"),
            ("scope", "openid offline_access"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("acr_values", "urn:example:gold urn:attorn:acr:password"),
        ]);
        let Ok(request) = authorize::check(&bench, &params.unwrap()).await else {
            panic!("the request is in order");
        };
        let at = START - 60_000;
        let sign_in = SignIn {
            at,
            how: Some(*how),
        };
        let to = allow(&bench, &ada.id, sign_in, &request, Vec::new())
            .await
            .unwrap();
        let code = to.query_pairs().find(|(name, _)| name == "code").unwrap().1;
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("code_verifier", VERIFIER),
        ];
        let first = ask(&bench, &client, &secret, &pairs).await.unwrap();
        let pairs = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token(&first)),
        ];
        let again = ask(&bench, &client, &secret, &pairs).await.unwrap();
        for token in [first.id_token, again.id_token] {
            let claims = part(token.unwrap().expose(), 1);
            assert_eq!(claims["acr"], how.word());
            assert_eq!(claims["auth_time"], at / 1000);
        }
    }
}

#[tokio::test]
async fn a_client_on_its_own_behalf_is_no_person() {
    let bench = Bench::new().await;
    let (client, secret) = bench.client("Agent").await;
    let pairs = [("grant_type", "client_credentials")];
    let answer = ask(&bench, &client, &secret, &pairs).await.unwrap();
    let token = answer.access_token.expose();
    let presented = access::verify(&bench, token, &bench.settings.issuer)
        .await
        .unwrap();
    assert_eq!((presented.person_id, presented.family_id), (None, None));
    let error = revoke(&bench, &client, token).await.unwrap_err();
    assert_eq!(error.code, Code::UnsupportedTokenType);
    let more = [pairs[0], ("scope", "openid")];
    assert_eq!(
        refused(ask(&bench, &client, &secret, &more).await),
        Code::InvalidScope
    );
}

#[tokio::test]
async fn discovery_names_only_addresses_below_the_issuer() {
    let bench = Bench::new().await;
    let document = metadata::openid_configuration(&bench);
    assert_eq!(document["issuer"], "https://attorn.test/");
    for (name, value) in document.as_object().unwrap() {
        if name.ends_with("_endpoint") || name.ends_with("_uri") {
            assert!(
                value.as_str().unwrap().starts_with("https://attorn.test/"),
                "{name}"
            );
        }
    }
    let proxy = metadata::protected_resource(&bench, metadata::Resource::Proxy);
    assert_eq!(proxy["resource"], bench.settings.proxy_audience());
    let text = metadata::jwks(&bench).to_string();
    assert!(!text.contains(&bench.keys.log().kid));
}
