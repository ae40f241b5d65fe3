use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::oauth::clients::{Error, get, new_secret, register};
use crate::oauth::{ClientKind, GrantType, NewClient, Source};

const CREDENTIALS: [(&str, &str); 1] = [("grant_type", "client_credentials")];

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

#[tokio::test]
async fn a_client_proves_itself_by_post_or_basic() {
    let bench = Bench::new().await;
    let (client, secret) = bench.client("Agent").await;
    ask(&bench, &client, &secret, &CREDENTIALS).await.unwrap();
    let header = basic(&client.id, secret.expose());
    let params = Params::new(CREDENTIALS).unwrap();
    token::answer(&bench, &head(&header), &params)
        .await
        .unwrap();
    // The id may stand in the body too, but only the same one.
    let same = Params::new([CREDENTIALS[0], ("client_id", &client.id)]).unwrap();
    token::answer(&bench, &head(&header), &same).await.unwrap();
    let other = Params::new([CREDENTIALS[0], ("client_id", "other")]).unwrap();
    let answer = token::answer(&bench, &head(&header), &other).await;
    assert_eq!(refused(answer), Code::InvalidRequest);
}

#[tokio::test]
async fn a_wrong_secret_is_challenged_only_after_basic() {
    let bench = Bench::new().await;
    let (client, secret) = bench.client("Agent").await;
    let wrong: Secret<String> = "wrong".into();
    let Err(by_post) = ask(&bench, &client, &wrong, &CREDENTIALS).await else {
        panic!("a wrong secret is refused");
    };
    assert_eq!((by_post.code, by_post.status), (Code::InvalidClient, 401));
    assert!(!by_post.basic_challenge);
    let params = Params::new(CREDENTIALS).unwrap();
    for header in [
        basic(&client.id, "wrong"),
        basic("nobody", secret.expose()),
        "Basic !".to_owned(),
    ] {
        let Err(error) = token::answer(&bench, &head(&header), &params).await else {
            panic!("{header} is refused");
        };
        assert_eq!((error.code, error.status), (Code::InvalidClient, 401));
        assert!(error.basic_challenge);
    }
    // No secret at all does not make a confidential client a public one.
    let bare = Params::new([CREDENTIALS[0], ("client_id", &client.id)]).unwrap();
    let answer = token::answer(&bench, &RequestHead::default(), &bare).await;
    assert_eq!(refused(answer), Code::InvalidClient);
}

#[tokio::test]
async fn a_new_secret_ends_the_old_one() {
    let bench = Bench::new().await;
    let (client, old) = bench.client("Agent").await;
    let new = new_secret(&bench, None, &client.id).await.unwrap();
    assert_eq!(
        refused(ask(&bench, &client, &old, &CREDENTIALS).await),
        Code::InvalidClient
    );
    ask(&bench, &client, &new, &CREDENTIALS).await.unwrap();
}

#[tokio::test]
async fn a_client_may_only_use_the_grants_it_is_registered_for() {
    let bench = Bench::new().await;
    let mut new = NewClient::confidential("Agent", Source::Command);
    new.grant_types = vec![GrantType::TokenExchange];
    let (client, secret) = bench.register(new).await;
    let answer = ask(&bench, &client, &secret, &CREDENTIALS).await;
    assert_eq!(refused(answer), Code::UnauthorizedClient);
    let answer = ask(&bench, &client, &secret, &[("grant_type", "password")]).await;
    assert_eq!(refused(answer), Code::UnsupportedGrantType);
}

#[tokio::test]
async fn what_no_client_may_have_is_refused_at_registration() {
    let bench = Bench::new().await;
    let base = || NewClient::confidential("Agent", Source::Command);
    let redirects = [
        "http://agent.test/callback",
        "javascript:alert(1)",
        "https://agent.test/#x",
        "https://user@agent.test/",
        "/callback",
    ];
    for uri in redirects {
        let mut new = base();
        new.redirect_uris = vec![uri.to_owned()];
        assert!(
            matches!(register(&bench, new).await, Err(Error::Invalid(_))),
            "{uri}"
        );
    }
    for uri in [
        "http://127.0.0.1/cb",
        "http://localhost:8080/cb",
        "com.example.app:/cb",
    ] {
        let mut new = base();
        new.redirect_uris = vec![uri.to_owned()];
        assert!(register(&bench, new).await.is_ok(), "{uri}");
    }
    let mut public = base();
    public.kind = ClientKind::Public;
    public.grant_types = vec![GrantType::AuthorizationCode, GrantType::RefreshToken];
    public.rotate_refresh = false;
    assert!(matches!(
        register(&bench, public).await,
        Err(Error::Invalid(_))
    ));
    let mut person = base();
    person.id = Some("per_1".to_owned());
    assert!(matches!(
        register(&bench, person).await,
        Err(Error::Invalid(_))
    ));
}

#[tokio::test]
async fn two_clients_cannot_share_an_id() {
    let bench = Bench::new().await;
    for expected in [true, false] {
        let mut new = NewClient::confidential("Agent", Source::Command);
        new.id = Some("agent".to_owned());
        match register(&bench, new).await {
            Ok(_) => assert!(expected),
            Err(error) => assert!(matches!(error, Error::Taken) && !expected),
        }
    }
}

#[tokio::test]
async fn a_client_changed_by_another_hand_is_refused() {
    let bench = Bench::new().await;
    let (client, _) = bench.client("Agent").await;
    let id = client.id.clone();
    let done: Result<u64, crate::storage::Error> = bench
        .store
        .write(move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let sql =
                    "update clients set redirect_uris = '[\"https://evil.test/\"]' where id = $1";
                tx.execute(sql, vec![id.into()]).await
            })
        })
        .await;
    done.unwrap();
    assert!(get(&bench, &client.id).await.is_err());
}

#[tokio::test]
async fn a_native_client_may_use_any_port_of_its_loopback_address() {
    let bench = Bench::new().await;
    let mut new = NewClient::confidential("Tool", Source::Command);
    new.kind = ClientKind::Public;
    new.grant_types = vec![GrantType::AuthorizationCode, GrantType::RefreshToken];
    new.redirect_uris = vec!["http://127.0.0.1/cb".to_owned()];
    let (tool, _) = bench.register(new).await;
    for (uri, good) in [
        ("http://127.0.0.1/cb", true),
        ("http://127.0.0.1:49152/cb", true),
        ("http://127.0.0.1:49152/other", false),
        ("http://127.0.0.1:49152/cb?x=1", false),
        ("http://[::1]:49152/cb", false),
        ("http://localhost:49152/cb", false),
        ("https://127.0.0.1:49152/cb", false),
        ("http://127.0.0.1:49152/x/../cb", false),
        ("http://127.0.0.1.evil.test/cb", false),
        ("http://user@127.0.0.1:49152/cb", false),
    ] {
        assert_eq!(tool.redirects_to(uri), good, "{uri}");
    }
}
