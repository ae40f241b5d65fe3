//! A privileged worker names the person in a JWT of its own.

use domain::identity;
use domain::oauth::clients::{Entrusted, PrivilegedWorker, WorkerGrant, entrust};
use domain::oauth::token::{EXCHANGE_AUTH0, EXCHANGE_RFC};
use serde_json::{Value, json};

use crate::house::{Agent, Answer, GOOGLE, House, SLACK};
use crate::key::Key;

const TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";

struct Scene {
    house: House,
    agent: Agent,
    key: Key,
    _sandbox: sandbox::Sandbox,
}

impl Scene {
    async fn new(mode: &str) -> Self {
        let house = House::open().await;
        let sandbox = house.sandbox().await;
        let agent = house.agent().await;
        let cookie = house.signed_in(&house.ada).await;
        for connection in [GOOGLE, SLACK] {
            house.link(connection, &cookie, &agent, mode).await;
        }
        Self {
            house,
            agent,
            key: Key::new("worker"),
            _sandbox: sandbox,
        }
    }

    /// Makes the agent a worker for Google, with these scopes and from there.
    async fn entrusted(&self, from: &str, scopes: &[&str]) {
        let with = Entrusted {
            jwks: Some(json!({ "keys": [self.key.public()] })),
            privileged_worker: Some(PrivilegedWorker {
                ip_allow_list: vec![from.to_owned()],
                connections: vec![WorkerGrant {
                    connection: GOOGLE.to_owned(),
                    scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
                }],
            }),
            may_act: None,
        };
        entrust(&self.house.bench, None, &self.agent.client.id, with)
            .await
            .unwrap();
    }

    /// All scopes that the account has.
    async fn scopes(&self) -> Vec<String> {
        let accounts = domain::vault::accounts::list(&self.house.bench, &self.house.ada.id).await;
        let mut accounts = accounts.unwrap().into_iter();
        accounts
            .find(|account| account.connection == GOOGLE)
            .unwrap()
            .scopes
    }

    async fn all_from(&self, from: &str) {
        let scopes = self.scopes().await;
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        self.entrusted(from, &scopes).await;
    }

    fn claims(&self, jti: &str) -> Value {
        let now = self.house.bench.now() / 1000;
        json!({
            "iss": self.agent.client.id, "sub": self.house.ada.id, "aud": self.house.issuer(),
            "iat": now, "exp": now + 60, "jti": jti, "audit_context": "nightly report 17",
        })
    }

    async fn exchange(&self, urn: &str, jwt: &str, connection: &str) -> Answer {
        let fields = [
            ("grant_type", urn),
            ("subject_token", jwt),
            ("subject_token_type", TYPE),
            ("connection", connection),
        ];
        self.house.token(&self.agent, &fields).await
    }

    async fn ask(&self, jti: &str) -> Answer {
        let jwt = self.key.sign("token-vault-req+jwt", &self.claims(jti));
        self.exchange(EXCHANGE_AUTH0, &jwt, GOOGLE).await
    }
}

#[tokio::test]
async fn a_worker_gets_a_token_for_whom_it_names_and_the_log_says_what_for() {
    let scene = Scene::new("release").await;
    scene.all_from("127.0.0.0/8").await;
    let jwt = scene.key.sign("token-vault-req+jwt", &scene.claims("one"));
    let answer = scene.exchange(EXCHANGE_AUTH0, &jwt, GOOGLE).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(!answer.text("access_token").is_empty());
    let named = "select count(*) as n from event_openings where field = 'audit_context' and value = 'nightly report 17'";
    assert_eq!(scene.house.count(named).await, 1);
    // The JWT works once, under either name of the exchange.
    let again = scene.exchange(EXCHANGE_AUTH0, &jwt, GOOGLE).await;
    assert_eq!(again.error(), (400, "invalid_grant".to_owned()));
    let again = scene.exchange(EXCHANGE_RFC, &jwt, GOOGLE).await;
    assert_eq!(again.error(), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn a_worker_needs_the_persons_permission_like_anybody() {
    let scene = Scene::new("call").await;
    scene.all_from("127.0.0.1").await;
    let refused = scene.ask("one").await;
    let code = "federated_connection_permission_required";
    assert_eq!(refused.error(), (403, code.to_owned()));
}

#[tokio::test]
async fn only_a_worker_may_name_people_and_only_from_where_it_belongs() {
    let scene = Scene::new("release").await;
    let refused = scene.ask("none").await;
    assert_eq!(refused.error(), (400, "unauthorized_client".to_owned()));
    for elsewhere in ["192.0.2.7", "10.0.0.0/8", "::/0"] {
        scene.all_from(elsewhere).await;
        let refused = scene.ask("elsewhere").await;
        assert_eq!(refused.error(), (400, "access_denied".to_owned()));
    }
    scene.all_from("127.0.0.1").await;
    assert_eq!(scene.ask("here").await.status, 200);
}

#[tokio::test]
async fn a_worker_has_no_other_connection_and_no_scope_beyond_its_list() {
    let scene = Scene::new("release").await;
    scene.all_from("127.0.0.1").await;
    let jwt = scene
        .key
        .sign("token-vault-req+jwt", &scene.claims("slack"));
    let refused = scene.exchange(EXCHANGE_RFC, &jwt, SLACK).await;
    assert_eq!(refused.error(), (400, "invalid_target".to_owned()));
    scene.entrusted("127.0.0.1", &["openid"]).await;
    let refused = scene.ask("beyond").await;
    assert_eq!(refused.error(), (400, "invalid_scope".to_owned()));
    let told = "select count(*) as n from events where kind = 'token.release_refused'";
    assert_eq!(scene.house.count(told).await, 1);
}

#[tokio::test]
async fn a_jwt_that_is_not_exactly_right_names_nobody() {
    let scene = Scene::new("release").await;
    scene.all_from("127.0.0.1").await;
    let now = scene.house.bench.now() / 1000;
    let table = [
        ("iss", json!("somebody")),
        ("aud", json!("https://elsewhere.test/")),
        ("sub", json!("")),
        ("sub", Value::Null),
        ("jti", Value::Null),
        ("iat", Value::Null),
        ("exp", Value::Null),
        ("exp", json!(now + 61)),
        ("exp", json!(now)),
        ("iat", json!(now - 61)),
        ("iat", json!(now + 120)),
        ("nbf", json!(now + 120)),
        // A minute of skew and no more; sums that run over; what is no time.
        ("nbf", json!(now + 61)),
        ("nbf", json!("soon")),
        ("iat", json!(i64::MIN)),
        ("exp", json!(i64::MAX)),
        ("audit_context", json!("x".repeat(1025))),
    ];
    for (number, (claim, value)) in table.into_iter().enumerate() {
        let mut claims = scene.claims(&format!("wrong {number}"));
        claims[claim] = value;
        let jwt = scene.key.sign("token-vault-req+jwt", &claims);
        let refused = scene.exchange(EXCHANGE_AUTH0, &jwt, GOOGLE).await;
        assert_eq!(
            refused.error(),
            (400, "invalid_grant".to_owned()),
            "{claim}"
        );
    }
    // What it signs to prove itself must not pass for a word about a person.
    for typ in ["JWT", "client-authentication+jwt", "dpop+jwt"] {
        let jwt = scene.key.sign(typ, &scene.claims(typ));
        let refused = scene.exchange(EXCHANGE_AUTH0, &jwt, GOOGLE).await;
        assert_eq!(refused.error(), (400, "invalid_grant".to_owned()), "{typ}");
    }
    let mut forged = scene
        .key
        .sign("token-vault-req+jwt", &scene.claims("forged"));
    let last = if forged.ends_with("AA") { "BA" } else { "AA" };
    forged.replace_range(forged.len() - 4..forged.len() - 2, last);
    let refused = scene.exchange(EXCHANGE_AUTH0, &forged, GOOGLE).await;
    assert_eq!(refused.error(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn nobody_locked_is_worked_for() {
    let scene = Scene::new("release").await;
    scene.all_from("127.0.0.1").await;
    let ada = &scene.house.ada.id;
    identity::set_state(&scene.house.bench, None, ada, identity::State::Locked)
        .await
        .unwrap();
    let refused = scene.ask("one").await;
    assert_eq!(refused.error(), (400, "invalid_grant".to_owned()));
}
