use std::time::Duration;

use super::*;
use crate::identity::{self, Person, State};
use crate::oauth::exchange::refusal;
use crate::oauth::token::{EXCHANGE_AUTH0, EXCHANGE_RFC};
use crate::oauth::{NewClient, Source, revoke};
use crate::vault::connections::{self, NewConnection};
use crate::vault::{self, Reason};

const REFRESH: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

struct Scene {
    bench: Bench,
    ada: Person,
    client: Client,
    secret: Secret<String>,
}

impl Scene {
    async fn new() -> Self {
        let bench = Bench::new().await;
        let ada = bench.person("ada@example.com").await;
        let mut new = NewClient::confidential("Agent", Source::Command);
        new.redirect_uris = vec!["https://agent.test/callback".to_owned()];
        new.audiences = vec!["https://api.test/".to_owned()];
        let (client, secret) = bench.register(new).await;
        let connection = NewConnection {
            id: "sign-in-with-slack".to_owned(),
            provider: "slack".to_owned(),
            client_id: "ours".to_owned(),
            client_secret: "secret".into(),
            scopes: None,
            overrides: vault::Overrides::default(),
            source: connections::Source::Config,
        };
        connections::put(&bench, connection).await.unwrap();
        Self {
            bench,
            ada,
            client,
            secret,
        }
    }

    async fn exchange_as(
        &self,
        (client, secret): (&Client, &Secret<String>),
        urn: &str,
        kind: &str,
        token: &str,
    ) -> Code {
        let pairs = [
            ("grant_type", urn),
            ("subject_token_type", kind),
            ("subject_token", token),
            ("connection", "sign-in-with-slack"),
        ];
        refused(ask(&self.bench, client, secret, &pairs).await)
    }

    /// Ada has linked nothing: a subject token that is good comes as far as
    /// [`Code::AccountNotFound`].
    async fn exchange(&self, urn: &str, kind: &str, token: &str) -> Code {
        self.exchange_as((&self.client, &self.secret), urn, kind, token)
            .await
    }
}

/// How each URN words a bad subject token (RFC 8693 §2.2.2).
const BAD_SUBJECT: [(&str, Code); 2] = [
    (EXCHANGE_RFC, Code::InvalidRequest),
    (EXCHANGE_AUTH0, Code::InvalidGrant),
];

#[tokio::test]
async fn a_subject_refresh_token_is_not_consumed() {
    let scene = Scene::new().await;
    let tokens = scene
        .bench
        .tokens(&scene.client, &scene.ada, "offline_access")
        .await;
    let token = refresh_token(&tokens);
    for urn in [EXCHANGE_RFC, EXCHANGE_AUTH0, EXCHANGE_RFC] {
        assert_eq!(
            scene.exchange(urn, REFRESH, token).await,
            Code::AccountNotFound
        );
        scene.bench.advance(Duration::from_secs(61));
    }
    let pairs = [("grant_type", "refresh_token"), ("refresh_token", token)];
    ask(&scene.bench, &scene.client, &scene.secret, &pairs)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_used_refresh_token_as_subject_ends_its_family() {
    let scene = Scene::new().await;
    let tokens = scene
        .bench
        .tokens(&scene.client, &scene.ada, "offline_access")
        .await;
    let first = refresh_token(&tokens);
    let pairs = [("grant_type", "refresh_token"), ("refresh_token", first)];
    let next = ask(&scene.bench, &scene.client, &scene.secret, &pairs)
        .await
        .unwrap();
    scene.bench.advance(Duration::from_secs(31));
    assert_eq!(
        scene.exchange(EXCHANGE_AUTH0, REFRESH, first).await,
        Code::InvalidGrant
    );
    let second = refresh_token(&next);
    assert_eq!(
        scene.exchange(EXCHANGE_AUTH0, REFRESH, second).await,
        Code::InvalidGrant
    );
}

#[tokio::test]
async fn a_bad_subject_is_worded_as_its_urn_wants() {
    let scene = Scene::new().await;
    let (other, others) = scene.bench.client("Other").await;
    let tokens = scene
        .bench
        .tokens(&scene.client, &scene.ada, "offline_access")
        .await;
    let revoked = scene
        .bench
        .tokens(&scene.client, &scene.ada, "offline_access")
        .await;
    revoke(&scene.bench, &scene.client, refresh_token(&revoked))
        .await
        .unwrap();
    let by_nobody = scene
        .bench
        .access_token(&scene.client, None, "https://api.test/", &[]);
    let approved = scene.bench.approved_token(
        &scene.client,
        Some(&scene.ada),
        &scene.bench.settings.proxy_audience(),
        &[],
        Some("apr_1"),
    );
    for (urn, code) in BAD_SUBJECT {
        for (kind, token) in [
            (REFRESH, "att_rt_nonsense"),
            (REFRESH, refresh_token(&revoked)),
            (REFRESH, tokens.access_token.expose()),
            (ACCESS, refresh_token(&tokens)),
            (ACCESS, revoked.access_token.expose()),
            (ACCESS, by_nobody.expose()),
            (ACCESS, approved.expose()),
        ] {
            assert_eq!(scene.exchange(urn, kind, token).await, code, "{urn} {kind}");
        }
        // Another client's tokens buy nothing.
        let as_other = (&other, &others);
        for (kind, token) in [
            (REFRESH, refresh_token(&tokens)),
            (ACCESS, tokens.access_token.expose().as_str()),
        ] {
            assert_eq!(
                scene.exchange_as(as_other, urn, kind, token).await,
                code,
                "{urn} {kind}"
            );
        }
    }
    identity::set_state(&scene.bench, None, &scene.ada.id, State::Locked)
        .await
        .unwrap();
    for (urn, code) in BAD_SUBJECT {
        let token = refresh_token(&tokens);
        assert_eq!(scene.exchange(urn, REFRESH, token).await, code);
        let token = tokens.access_token.expose();
        assert_eq!(scene.exchange(urn, ACCESS, token).await, code);
    }
}

#[tokio::test]
async fn an_access_token_is_taken_from_its_client_or_its_resource_server() {
    let scene = Scene::new().await;
    let api = |name: &str, audience: &str| {
        let mut new = NewClient::confidential(name, Source::Command);
        new.resource_audience = Some(audience.to_owned());
        new
    };
    let (right, rights) = scene.bench.register(api("API", "https://api.test/")).await;
    let (wrong, wrongs) = scene
        .bench
        .register(api("Other API", "https://other.test/"))
        .await;
    let token = scene
        .bench
        .access_token(&scene.client, Some(&scene.ada), "https://api.test/", &[]);
    let token = token.expose();
    assert_eq!(
        scene.exchange(EXCHANGE_RFC, ACCESS, token).await,
        Code::AccountNotFound
    );
    let by_right = scene
        .exchange_as((&right, &rights), EXCHANGE_RFC, ACCESS, token)
        .await;
    assert_eq!(by_right, Code::AccountNotFound);
    for (urn, code) in BAD_SUBJECT {
        let by_wrong = scene
            .exchange_as((&wrong, &wrongs), urn, ACCESS, token)
            .await;
        assert_eq!(by_wrong, code);
    }
}

#[tokio::test]
async fn a_malformed_exchange_is_refused() {
    let scene = Scene::new().await;
    let tokens = scene
        .bench
        .tokens(&scene.client, &scene.ada, "offline_access")
        .await;
    let token = refresh_token(&tokens);
    let base: BTreeMap<&str, &str> = BTreeMap::from([
        ("grant_type", EXCHANGE_RFC),
        ("subject_token_type", REFRESH),
        ("subject_token", token),
        ("connection", "sign-in-with-slack"),
    ]);
    for (name, value, code) in [
        ("subject_token_type", "urn:x", Code::InvalidRequest),
        ("subject_token_type", "", Code::InvalidRequest),
        ("subject_token", "", Code::InvalidRequest),
        ("connection", "", Code::InvalidRequest),
        ("connection", "no-such-connection", Code::InvalidTarget),
        ("audience", "https://elsewhere.test/", Code::InvalidTarget),
        ("requested_token_type", "urn:x", Code::InvalidRequest),
        ("actor_token", "x", Code::InvalidRequest),
    ] {
        let mut pairs = base.clone();
        pairs.insert(name, value);
        let pairs: Vec<_> = pairs.into_iter().collect();
        let answer = ask(&scene.bench, &scene.client, &scene.secret, &pairs).await;
        assert_eq!(refused(answer), code, "{name}={value}");
    }
}

#[test]
fn what_the_vault_refuses_has_its_code_status_and_link() {
    let connection = || "sign-in-with-slack".to_owned();
    let link = || "https://attorn.test/accounts".to_owned();
    let account_id = || "acc_1".to_owned();
    let table: [(vault::Error, &str, u16, Option<u64>, bool); 6] = [
        (
            vault::Error::NoAccount {
                connection: connection(),
                link: link(),
            },
            "federated_connection_refresh_token_not_found",
            401,
            None,
            true,
        ),
        (
            vault::Error::Reconnect {
                connection: connection(),
                account_id: account_id(),
                reason: Reason::Revoked,
                link: link(),
            },
            "federated_connection_refresh_token_flow_failed",
            401,
            None,
            true,
        ),
        (
            vault::Error::ProviderRefused {
                connection: connection(),
                code: "x".to_owned(),
            },
            "federated_connection_refresh_token_flow_failed",
            401,
            None,
            false,
        ),
        (
            vault::Error::PermissionRequired {
                connection: connection(),
                account_id: account_id(),
                link: link(),
            },
            "federated_connection_permission_required",
            403,
            None,
            true,
        ),
        (
            vault::Error::ProviderDown {
                connection: connection(),
                retry_after_s: 7,
            },
            "temporarily_unavailable",
            503,
            Some(7),
            false,
        ),
        (
            vault::Error::UnknownConnection {
                connection: connection(),
            },
            "invalid_target",
            400,
            None,
            false,
        ),
    ];
    for (error, code, status, retry, linked) in table {
        let wire = refusal(error);
        assert_eq!((wire.code.word(), wire.status), (code, status));
        assert_eq!(wire.retry_after_s, retry);
        let has_link = wire.members.iter().any(|(name, _)| *name == "link");
        assert_eq!(has_link, linked, "{code}");
    }
}
