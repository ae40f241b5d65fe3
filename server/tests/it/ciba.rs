//! What other servers got wrong with CIBA, tried on ours over the wire. The
//! rest of it is in `backchannel`, `notify`, `limits` and `user_code`, and in
//! the rooms `oauth` and `approval` of `domain`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::approval::{self, Channel, Decide, Decision};
use domain::identity::{self, State, user_code};
use domain::oauth::{ClientMetadata, NewClient, Source};
use serde_json::{Map, Value, json};

use crate::backchannel::{pending, poll};
use crate::house::{Agent, Answer, FORM, House, basic};

const ASK: &str = "/bc-authorize";

struct Scene {
    house: House,
    agent: Agent,
}

impl Scene {
    async fn new() -> Self {
        Self::with(ClientMetadata::default()).await
    }

    async fn with(metadata: ClientMetadata) -> Self {
        let house = House::open().await;
        let mut new = NewClient::confidential("Agent", Source::Command);
        new.redirect_uris = vec!["https://agent.example/callback".to_owned()];
        new.metadata = metadata;
        let (client, secret) = house.bench.register(new).await;
        house.bench.tokens(&client, &house.ada, "openid").await;
        let agent = Agent { client, secret };
        Self { house, agent }
    }

    async fn ask(&self, fields: &[(&str, &str)]) -> Answer {
        let fields = [&[("scope", "openid offline_access")], fields].concat();
        self.house
            .post_authenticated(ASK, &self.agent, &fields)
            .await
    }

    async fn approve(&self) {
        let decide = Decide {
            approval_id: pending(&self.house).await,
            person_id: self.house.ada.id.clone(),
            decision: Decision::Approve,
            channel: Channel::Browser,
            address: None,
            user_agent: None,
            number: None,
        };
        approval::decide(&self.house.bench, decide).await.unwrap();
    }

    async fn asked_for_nothing(&self) {
        let asked = "select count(*) as n from approvals";
        assert_eq!(self.house.count(asked).await, 0);
    }
}

/// The claims of a token, without those that are its own each time.
fn claims(token: &Value) -> Map<String, Value> {
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
    let mut claims: Map<String, Value> = serde_json::from_slice(&bytes).unwrap();
    for own in ["jti", "family", "at_hash"] {
        claims.remove(own);
    }
    claims
}

#[tokio::test]
async fn a_reserved_or_unknown_parameter_changes_neither_the_person_nor_the_token() {
    let scene = Scene::new().await;
    let bob = scene.house.bench.person("bob@example.com").await;
    let me = ("login_hint", scene.house.ada.email.as_str());
    let mut plain = None;
    let injected = [
        ("", ""),
        ("sub", bob.id.as_str()),
        ("exp", "9999999999"),
        ("iat", "0"),
        ("nbf", "0"),
        ("jti", "mine"),
        ("acr", "urn:gold"),
        ("amr", "hwk"),
        ("auth_time", "0"),
        ("aud", "https://elsewhere.example/"),
        ("iss", "https://elsewhere.example/"),
        ("azp", "somebody"),
        ("act", r#"{"sub":"somebody"}"#),
        ("may_act", r#"{"sub":"somebody"}"#),
        ("cnf", r#"{"jkt":"x"}"#),
        ("family", "fam_1"),
        ("approval", "apr_1"),
        ("person_id", bob.id.as_str()),
        ("state", "approved"),
        ("auth_req_id", "att_ar_mine"),
        ("expires_in", "9999999"),
        ("interval", "0"),
        ("claims", r#"{"id_token":{"sub":{"value":"x"}}}"#),
        ("__proto__", "x"),
        ("sub[]", bob.id.as_str()),
    ];
    for (name, value) in injected {
        let asked = scene.ask(&[me, (name, value)]).await;
        assert_eq!(asked.status, 200, "{name}: {}", asked.body);
        let asked = asked.json();
        assert_eq!(
            (&asked["expires_in"], &asked["interval"]),
            (&json!(300), &json!(5))
        );
        let id = asked["auth_req_id"].as_str().unwrap();
        assert_ne!(id, "att_ar_mine");
        scene.approve().await;
        let answer = poll(&scene.house, &scene.agent, id).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        let answer = answer.json();
        let (access, id_token) = (claims(&answer["access_token"]), claims(&answer["id_token"]));
        assert_eq!(access["sub"], scene.house.ada.id.as_str());
        let got = (
            access,
            id_token,
            answer["expires_in"].clone(),
            answer["scope"].clone(),
        );
        assert_eq!(*plain.get_or_insert_with(|| got.clone()), got, "{name}");
    }
}

#[tokio::test]
async fn a_parameter_that_occurs_twice_asks_nobody() {
    let scene = Scene::new().await;
    let (ada, client) = (&scene.house.ada.id, &scene.agent.client.id);
    for twice in [
        format!("client_id={client}&client_id={client}"),
        format!("client_id={client}&client_id=somebody"),
        format!("client_id={client}&%63lient_id=somebody"),
        format!("login_hint={ada}"),
        "scope=openid+email".to_owned(),
        "binding_message=K7&binding_message=K8".to_owned(),
    ] {
        let body = format!("scope=openid&login_hint={ada}&{twice}");
        let request = scene
            .house
            .request(axum::http::Method::POST, ASK, "")
            .header("content-type", FORM)
            .header("authorization", basic(client, scene.agent.secret.expose()))
            .body(body);
        let refused = scene.house.send(request).await;
        assert_eq!(
            refused.error(),
            (400, "invalid_request".to_owned()),
            "{twice}"
        );
    }
    // One name in the body, another in the header.
    let refused = scene
        .ask(&[("login_hint", ada), ("client_id", "somebody")])
        .await;
    assert_eq!(refused.error(), (400, "invalid_request".to_owned()));
    scene.asked_for_nothing().await;
}

#[tokio::test]
async fn two_hints_or_none_ask_nobody() {
    let scene = Scene::new().await;
    let ada = scene.house.ada.id.as_str();
    let tokens = scene
        .house
        .bench
        .tokens(&scene.agent.client, &scene.house.ada, "openid")
        .await;
    let id_token = tokens.id_token.unwrap();
    let hints = [
        ("login_hint", ada),
        ("id_token_hint", id_token.expose().as_str()),
        ("login_hint_token", "a.b.c"),
    ];
    // Each set of hints but those of one.
    for set in [0b000, 0b011, 0b101, 0b110, 0b111_usize] {
        let fields: Vec<_> = (0..3)
            .filter(|bit| set >> bit & 1 == 1)
            .map(|bit| hints[bit])
            .collect();
        let refused = scene.ask(&fields).await;
        assert_eq!(
            refused.error(),
            (400, "invalid_request".to_owned()),
            "{set:b}"
        );
    }
    scene.asked_for_nothing().await;
    assert_eq!(scene.ask(&hints[..1]).await.status, 200);
}

#[tokio::test]
async fn a_binding_message_that_hides_reorders_or_fakes_is_refused() {
    let scene = Scene::new().await;
    let me = ("login_hint", scene.house.ada.id.as_str());
    for (message, why) in [
        ("pay \u{202e}001\u{202c}", "bidirectional override"),
        ("\u{2066}a\u{2069}b", "bidirectional isolate"),
        ("K7\u{200b}-42", "zero width space"),
        ("K7\u{ad}-42", "soft hyphen"),
        ("K7\u{e0041}-42", "a tag character"),
        ("K7\n-42", "a line end"),
        ("\u{3164}", "a blank letter"),
        ("\u{41a}7-42", "a Cyrillic letter in a code"),
        ("\u{212a}7-42", "the sign of kelvin"),
        ("Pay\u{420}al", "two scripts in one word"),
        ("Pay \u{440}\u{430}\u{443}", "a word that only looks Latin"),
        ("\u{1d40a}7-42", "a mathematical letter"),
        ("a\u{301}\u{301}\u{301}\u{301}\u{301}", "a pile of marks"),
    ] {
        let refused = scene.ask(&[me, ("binding_message", message)]).await;
        let code = "invalid_binding_message".to_owned();
        assert_eq!(refused.error(), (400, code), "{why}");
    }
    scene.asked_for_nothing().await;
    for honest in [
        "K7-42",
        "Оплата PayPal с карты",
        "Slackに投稿",
        "שלח 50 שקל",
    ] {
        let asked = scene.ask(&[me, ("binding_message", honest)]).await;
        assert_eq!(asked.status, 200, "{honest}");
    }
}

/// What a client can tell one answer from another by.
fn seen(answer: &Answer) -> (u16, String, Vec<(String, String)>) {
    let headers = answer.headers.iter().filter_map(|(name, value)| {
        let own = matches!(name.as_str(), "date" | "x-request-id");
        (!own).then(|| (name.to_string(), value.to_str().unwrap().to_owned()))
    });
    (answer.status, answer.body.clone(), headers.collect())
}

#[tokio::test]
async fn nobody_a_stranger_and_somebody_locked_cannot_be_told_apart() {
    let scene = Scene::with(ClientMetadata {
        backchannel_user_code_parameter: true,
        ..ClientMetadata::default()
    })
    .await;
    let bench = &scene.house.bench;
    let stranger = bench.person("stranger@example.com").await;
    user_code::set(bench, &stranger.id, Some("1234 blue".into()))
        .await
        .unwrap();
    let locked = bench.person("locked@example.com").await;
    bench.tokens(&scene.agent.client, &locked, "openid").await;
    identity::set_state(bench, None, &locked.id, State::Locked)
        .await
        .unwrap();
    let by_subject = |sub: &str| {
        json!({ "format": "iss_sub", "iss": scene.house.issuer(), "sub": sub }).to_string()
    };
    let hints = [
        "nobody@example.com".to_owned(),
        "per_nobody".to_owned(),
        by_subject("per_nobody"),
        stranger.email.clone(),
        stranger.id.clone(),
        by_subject(&stranger.id),
        locked.email.clone(),
        locked.id.clone(),
        by_subject(&locked.id),
        "not-even-an-address@".to_owned(),
    ];
    for more in [
        &[][..],
        &[("user_code", "1234 blue")],
        &[("user_code", "wrong")],
        &[("binding_message", "K7-42"), ("requested_expiry", "60")],
    ] {
        let mut all = Vec::new();
        for hint in &hints {
            let fields = [&[("login_hint", hint.as_str())], more].concat();
            all.push(seen(&scene.ask(&fields).await));
        }
        assert_eq!(all[0].0, 400);
        assert!(all[0].1.contains("unknown_user_id"), "{}", all[0].1);
        for (hint, one) in hints.iter().zip(&all) {
            assert_eq!(*one, all[0], "{hint} with {more:?}");
        }
    }
    // However often: asking for nobody is slowed no other way than for a stranger.
    scene.house.bench.advance(Duration::from_secs(1));
    scene.asked_for_nothing().await;
}
