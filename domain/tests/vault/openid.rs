//! Identity by ID token: Microsoft, and providers of our own by discovery.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::vault::connections::Source;
use domain::vault::discover::{OpenidProvider, discover};
use domain::vault::providers::{Provider, RefreshRule};
use domain::vault::{Error, Overrides, link, own};
use serde_json::{Value, json};

use crate::lookalike::{ID, Scene, basic, parameter};

/// Keys of a provider.
fn keys() -> (Ed25519KeyPair, Value) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let set =
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig", "x": x }] });
    (pair, set)
}

fn signed(claims: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let text = format!(
        "{}.{}",
        part(&json!({ "alg": "EdDSA", "kid": "k" })),
        part(claims)
    );
    let signature = keys().0.sign(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

fn microsoft_claims(scene: &Scene, nonce: &str) -> Value {
    let now = scene.bench.now() / 1000;
    json!({
        "iss": "https://login.microsoftonline.com/t-1/v2.0", "aud": ID, "exp": now + 3600, "iat": now,
        "nonce": nonce, "tid": "t-1", "oid": "o-1", "sub": "pairwise", "preferred_username": "ada@contoso.com",
    })
}

#[tokio::test]
async fn microsoft_says_who_it_is_in_an_id_token_of_the_tenant() {
    let scene = Scene::new("microsoft").await;
    let token = "POST /common/oauth2/v2.0/token";
    scene
        .provider
        .answer("GET /common/discovery/v2.0/keys", 200, keys().1);
    type Spoil = fn(&mut Value);
    let cases: [(Spoil, bool); 6] = [
        (|_| {}, true),
        (|claims| claims["nonce"] = "another".into(), false),
        (|claims| claims["aud"] = "somebody-else".into(), false),
        (|claims| claims["tid"] = "t-2".into(), false),
        (|claims| claims["exp"] = 1.into(), false),
        (|claims| claims["tid"] = "t-1/v2.0?".into(), false),
    ];
    for (spoil, good) in cases {
        let to = scene.start().await;
        let nonce = parameter(&to, "nonce").expect("a nonce is sent along");
        let mut claims = microsoft_claims(&scene, &nonce);
        spoil(&mut claims);
        let answer = json!({
            "token_type": "Bearer", "scope": "User.Read Mail.Read", "expires_in": 3599,
            "access_token": "m1", "refresh_token": "mr1", "id_token": signed(&claims),
        });
        scene.provider.answer(token, 200, answer);
        let linked = scene.finish(&to).await;
        assert_eq!(linked.is_ok(), good, "{claims}");
        if let Ok(linked) = linked {
            let account = linked.account;
            assert_eq!(
                (
                    account.tenant.as_str(),
                    account.subject.as_str(),
                    account.label.as_str()
                ),
                ("t-1", "o-1", "ada@contoso.com")
            );
        }
    }
}

fn ask(scene: &Scene) -> OpenidProvider {
    OpenidProvider {
        id: "acme".to_owned(),
        name: "Acme".to_owned(),
        issuer: scene.provider.url.clone(),
        api: format!("{}/api", scene.provider.url).parse().unwrap(),
        refresh: RefreshRule::Rotates,
        scopes: vec![("projects.read".to_owned(), "See your projects".to_owned())],
    }
}

fn document(scene: &Scene) -> Value {
    let url = &scene.provider.url;
    json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "revocation_endpoint": format!("{url}/revoke"),
        "userinfo_endpoint": format!("{url}/userinfo"),
        "jwks_uri": format!("{url}/jwks"),
        "scopes_supported": ["openid", "email", "offline_access"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "code_challenge_methods_supported": ["S256"],
    })
}

const DOCUMENT: &str = "GET /.well-known/openid-configuration";

async fn added(scene: &Scene, document: Value) -> Result<Provider, Error> {
    scene.provider.answer(DOCUMENT, 200, document);
    let entry = discover(&scene.bench, ask(scene), Source::Admin).await?;
    own::put(
        &scene.bench,
        Some(&scene.ada.id),
        entry.clone(),
        Source::Admin,
    )
    .await?;
    Ok(entry)
}

#[tokio::test]
async fn an_openid_provider_is_added_by_its_issuer_and_linked() {
    let scene = Scene::bare().await;
    let entry = added(&scene, document(&scene)).await.unwrap();
    assert_eq!(entry.tried, "unverified");
    scene.connect("acme", Overrides::default()).await.unwrap();
    scene.provider.answer("GET /jwks", 200, keys().1);
    // A code that another server sent never reaches this one (mix-up).
    let mixed_up = scene
        .finish_by(&scene.start().await, Some("https://evil.example"))
        .await;
    assert!(
        matches!(&mixed_up, Err(link::Error::Failed { code, .. }) if code == "wrong_issuer"),
        "{mixed_up:?}"
    );
    assert!(scene.provider.seen("POST /token").is_empty());
    let to = scene.start().await;
    assert_eq!(
        parameter(&to, "scope").as_deref(),
        Some("openid email offline_access projects.read")
    );
    assert!(parameter(&to, "code_challenge").is_some());
    let now = scene.bench.now() / 1000;
    let claims = json!({
        "iss": scene.provider.url, "aud": ID, "exp": now + 60, "iat": now, "sub": "s-1",
        "nonce": parameter(&to, "nonce"), "email": "ada@acme.example",
    });
    scene.provider.answer(
        "POST /token",
        200,
        json!({ "access_token": "a1", "refresh_token": "r1", "expires_in": 60, "token_type": "Bearer", "id_token": signed(&claims) }),
    );
    let issuer = Some(scene.provider.url.as_str());
    let account = scene.finish_by(&to, issuer).await.unwrap().account;
    assert_eq!(
        (
            account.provider.as_str(),
            account.subject.as_str(),
            account.label.as_str()
        ),
        ("acme", "s-1", "ada@acme.example")
    );
    let asked = scene.provider.last("POST /token");
    assert_eq!(asked.header("authorization"), basic());
    assert!(asked.member("code_verifier").is_some());
    // The document was asked for once, when the provider was added.
    assert_eq!(scene.provider.seen(DOCUMENT).len(), 1);
    scene.provider.answer("POST /revoke", 200, "");
    assert!(scene.unlink(&account).await.revoked);
    assert_eq!(
        scene.provider.last("POST /revoke").header("authorization"),
        basic()
    );
}

#[tokio::test]
async fn without_an_id_token_we_can_check_the_userinfo_endpoint_says_who_it_is() {
    let scene = Scene::bare().await;
    let mut said = document(&scene);
    said["id_token_signing_alg_values_supported"] = json!(["HS256"]);
    said["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
    said["code_challenge_methods_supported"] = json!(["plain"]);
    added(&scene, said).await.unwrap();
    scene.connect("acme", Overrides::default()).await.unwrap();
    let to = scene.start().await;
    assert_eq!(parameter(&to, "code_challenge"), None);
    scene
        .provider
        .answer("POST /token", 200, json!({ "access_token": "a1" }));
    let who = json!({ "sub": "s-1", "email": "ada@acme.example" });
    scene.provider.answer("GET /userinfo", 200, who);
    let account = scene.finish(&to).await.unwrap().account;
    assert_eq!(account.subject, "s-1");
    let asked = scene.provider.last("POST /token");
    assert_eq!(asked.member("client_id").as_deref(), Some(ID));
}

#[tokio::test]
async fn a_document_of_another_issuer_or_with_bad_addresses_adds_nothing() {
    for (member, value) in [
        ("issuer", json!("https://evil.example")),
        ("token_endpoint", Value::Null),
        ("token_endpoint", json!("ftp://evil.example/")),
        ("jwks_uri", Value::Null),
    ] {
        let scene = Scene::bare().await;
        let mut said = document(&scene);
        said[member] = value;
        let refused = added(&scene, said).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{member}");
        assert!(own::list(&scene.bench).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_id_of_the_catalogue_or_of_our_own_is_taken() {
    let scene = Scene::bare().await;
    let entry = added(&scene, document(&scene)).await.unwrap();
    let put = |entry: Provider, source| own::put(&scene.bench, None, entry, source);
    // The same again is nothing new.
    put(entry.clone(), Source::Admin).await.unwrap();
    let renamed = Provider {
        name: "Other".to_owned(),
        ..entry.clone()
    };
    let slack = Provider {
        id: "slack".to_owned(),
        ..entry
    };
    for taken in [renamed, slack] {
        assert!(matches!(
            put(taken, Source::Admin).await,
            Err(Error::Invalid(_))
        ));
    }
    assert_eq!(own::list(&scene.bench).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_entry_in_use_keeps_its_origins_and_stays() {
    let scene = Scene::bare().await;
    let entry = discover(
        &scene.bench,
        {
            scene.provider.answer(DOCUMENT, 200, document(&scene));
            ask(&scene)
        },
        Source::Config,
    )
    .await
    .unwrap();
    assert!(ask(&scene).made(&entry), "it need not be asked again");
    let put = |entry: Provider| own::put(&scene.bench, None, entry, Source::Config);
    put(entry.clone()).await.unwrap();
    scene.connect("acme", Overrides::default()).await.unwrap();
    let renamed = Provider {
        name: "Acme again".to_owned(),
        ..entry.clone()
    };
    put(renamed).await.unwrap();
    let moved = Provider {
        token: "https://elsewhere.example/token".parse().unwrap(),
        ..entry
    };
    assert!(matches!(put(moved).await, Err(Error::Invalid(_))));
    assert!(matches!(
        own::remove(&scene.bench, &scene.ada.id, "acme").await,
        Err(Error::Invalid(_))
    ));
}

#[tokio::test]
async fn an_entry_rewritten_in_the_database_is_refused() {
    let scene = Scene::bare().await;
    added(&scene, document(&scene)).await.unwrap();
    scene.connect("acme", Overrides::default()).await.unwrap();
    scene
        .bench
        .store
        .write(move |tx| {
            Box::pin(async move {
                tx.execute(
                    "update providers set entry = replace(entry, '/token', '/tokem')",
                    vec![],
                )
                .await
            })
        })
        .await
        .unwrap();
    assert!(matches!(
        own::list(&scene.bench).await,
        Err(Error::Storage(_))
    ));
    assert!(matches!(
        domain::vault::connections::get(&scene.bench, "there").await,
        Err(Error::Storage(_))
    ));
}
