//! Ping and push: how a client hears of the end of its request (CIBA Core §10).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::approval::{self, Channel, Decide, Decision, Filter};
use domain::identity;
use domain::oauth::{ClientMetadata, ClientState, Delivery, NewClient, Source, clients, notify};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::backchannel::poll;
use crate::house::{Agent, Answer, House};

const TOKEN: &str = "8d67dc78-7faa-4d41-aabd-67707b374255";

/// What arrived: the credential and the body.
type Arrived = Vec<(String, Value)>;

/// The client's own server, which answers as it is told to.
#[derive(Clone)]
struct Inbox(Arc<Mutex<(StatusCode, Arrived)>>);

impl Inbox {
    async fn open() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let inbox = Self(Arc::new(Mutex::new((StatusCode::NO_CONTENT, Vec::new()))));
        let app = Router::new()
            .route("/told", post(Self::take))
            .route("/elsewhere", post(Self::take))
            .with_state(inbox.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (inbox, format!("http://localhost:{port}/told"))
    }

    async fn take(State(Self(inside)): State<Self>, headers: HeaderMap, body: String) -> Response {
        assert_eq!(headers[header::CONTENT_TYPE], "application/json");
        let credential = headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
        let mut inside = inside.lock().unwrap();
        inside
            .1
            .push((credential, serde_json::from_str(&body).unwrap()));
        (inside.0, [(header::LOCATION, "/elsewhere")]).into_response()
    }

    fn answers(&self, status: StatusCode) {
        self.0.lock().unwrap().0 = status;
    }

    fn arrived(&self) -> Arrived {
        self.0.lock().unwrap().1.clone()
    }

    fn bodies(&self) -> Vec<Value> {
        self.arrived().into_iter().map(|(_, body)| body).collect()
    }
}

struct Scene {
    house: House,
    agent: Agent,
    inbox: Inbox,
}

impl Scene {
    async fn new(delivery: Delivery) -> Self {
        let (inbox, address) = Inbox::open().await;
        Self::at(delivery, inbox, &address).await
    }

    async fn at(delivery: Delivery, inbox: Inbox, address: &str) -> Self {
        let house = House::open().await;
        let mut new = NewClient::confidential("Told", Source::Command);
        new.redirect_uris = vec!["https://told.example/callback".to_owned()];
        new.metadata = ClientMetadata {
            backchannel_token_delivery_mode: delivery,
            backchannel_client_notification_endpoint: (delivery != Delivery::Poll)
                .then(|| address.parse().unwrap()),
            ..ClientMetadata::default()
        };
        let (client, secret) = house.bench.register(new).await;
        house.bench.tokens(&client, &house.ada, "openid").await;
        let agent = Agent { client, secret };
        Self {
            house,
            agent,
            inbox,
        }
    }

    async fn request(&self, changes: &[(&str, &str)]) -> Answer {
        let mut fields = BTreeMap::from([
            ("scope", "openid offline_access"),
            ("login_hint", self.house.ada.email.as_str()),
            ("client_notification_token", TOKEN),
        ]);
        fields.extend(changes.iter().copied());
        let fields: Vec<_> = fields.into_iter().collect();
        self.house
            .post_authenticated("/bc-authorize", &self.agent, &fields)
            .await
    }

    async fn asked(&self) -> String {
        let asked = self.request(&[]).await;
        assert_eq!(asked.status, 200, "{}", asked.body);
        asked.text("auth_req_id")
    }

    async fn decide(&self, decision: Decision) {
        let ada = &self.house.ada.id;
        let waiting = approval::list(&self.house.bench, ada, Filter::Pending, 10).await;
        let decide = Decide {
            approval_id: waiting.unwrap()[0].id.clone(),
            person_id: ada.clone(),
            decision,
            channel: Channel::Browser,
            address: None,
            user_agent: None,
            number: None,
        };
        approval::decide(&self.house.bench, decide).await.unwrap();
    }

    /// Has clients told what is due; answers how many were settled.
    async fn tell(&self) -> usize {
        notify::run_due(&self.house.bench).await.unwrap()
    }

    async fn poll(&self, id: &str) -> Answer {
        poll(&self.house, &self.agent, id).await
    }
}

fn claims(token: &Value) -> Value {
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_ping_says_only_that_there_is_an_answer() {
    let scene = Scene::new(Delivery::Ping).await;
    let asked = scene.request(&[]).await;
    assert_eq!(asked.json()["interval"], 5);
    let id = asked.text("auth_req_id");
    assert_eq!(scene.tell().await, 0, "nothing was decided");
    scene.decide(Decision::Approve).await;
    assert_eq!(scene.tell().await, 1);
    let told = (format!("Bearer {TOKEN}"), json!({ "auth_req_id": id }));
    assert_eq!(scene.inbox.arrived(), [told]);
    let tokens = scene.poll(&id).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    let again = scene.poll(&id).await;
    assert_eq!(again.error(), (400, "invalid_grant".to_owned()));
    // Nothing is told twice, and what was kept for it is gone.
    assert_eq!(scene.tell().await, 0);
    assert_eq!(scene.inbox.arrived().len(), 1);
    let kept = "select count(*) as n from client_notifications where sealed is not null or data_key is not null";
    assert_eq!(scene.house.count(kept).await, 0);
}

#[tokio::test]
async fn a_refusal_and_a_request_that_ran_out_are_told_too() {
    let scene = Scene::new(Delivery::Ping).await;
    let denied = scene.asked().await;
    scene.decide(Decision::Deny).await;
    assert_eq!(scene.tell().await, 1);
    assert_eq!(scene.poll(&denied).await.text("error"), "access_denied");
    let late = scene.asked().await;
    scene.house.bench.advance(Duration::from_secs(301));
    approval::expire_due(&scene.house.bench).await.unwrap();
    assert_eq!(scene.tell().await, 1);
    assert_eq!(scene.poll(&late).await.text("error"), "expired_token");
    let told = [
        json!({ "auth_req_id": denied }),
        json!({ "auth_req_id": late }),
    ];
    assert_eq!(scene.inbox.bodies(), told);
}

#[tokio::test]
async fn a_client_that_asked_before_it_was_told_is_not_told() {
    let scene = Scene::new(Delivery::Ping).await;
    let id = scene.asked().await;
    assert_eq!(scene.poll(&id).await.text("error"), "authorization_pending");
    scene.decide(Decision::Approve).await;
    scene.house.bench.advance(Duration::from_secs(6));
    assert_eq!(scene.poll(&id).await.status, 200);
    assert_eq!(scene.tell().await, 1);
    assert!(scene.inbox.arrived().is_empty());
}

#[tokio::test]
async fn a_push_brings_the_tokens_bound_to_their_request() {
    let scene = Scene::new(Delivery::Push).await;
    let asked = scene.request(&[]).await;
    assert_eq!(asked.json().get("interval"), None);
    let id = asked.text("auth_req_id");
    scene.decide(Decision::Approve).await;
    let refused = scene.poll(&id).await;
    assert_eq!(refused.error(), (400, "unauthorized_client".to_owned()));
    assert_eq!(scene.tell().await, 1);
    let arrived = scene.inbox.arrived();
    let [(credential, body)] = arrived.as_slice() else {
        panic!("{arrived:?}");
    };
    assert_eq!(*credential, format!("Bearer {TOKEN}"));
    assert_eq!(body["auth_req_id"], id);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 600);
    let id_token = claims(&body["id_token"]);
    assert_eq!(id_token["urn:openid:params:jwt:claim:auth_req_id"], id);
    let half = |token: &Value| {
        let hash = evidence::digest::sha256(token.as_str().unwrap().as_bytes());
        URL_SAFE_NO_PAD.encode(&hash[..16])
    };
    assert_eq!(id_token["at_hash"], half(&body["access_token"]));
    assert_eq!(
        id_token["urn:openid:params:jwt:claim:rt_hash"],
        half(&body["refresh_token"])
    );
    // They are as good as any, and the request gives no others.
    let refresh = body["refresh_token"].as_str().unwrap();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    assert_eq!(scene.house.token(&scene.agent, &fields).await.status, 200);
    assert_eq!(scene.tell().await, 0);
    assert_eq!(scene.poll(&id).await.text("error"), "unauthorized_client");
}

#[tokio::test]
async fn a_push_says_who_refused_or_that_time_ran_out() {
    let scene = Scene::new(Delivery::Push).await;
    let denied = scene.asked().await;
    scene.decide(Decision::Deny).await;
    scene.tell().await;
    let late = scene.asked().await;
    scene.house.bench.advance(Duration::from_secs(301));
    approval::expire_due(&scene.house.bench).await.unwrap();
    scene.tell().await;
    let locked = scene.asked().await;
    scene.decide(Decision::Approve).await;
    identity::set_state(
        &scene.house.bench,
        None,
        &scene.house.ada.id,
        identity::State::Locked,
    )
    .await
    .unwrap();
    scene.tell().await;
    let told: Vec<_> = scene
        .inbox
        .bodies()
        .into_iter()
        .map(|body| (body["auth_req_id"].clone(), body["error"].clone()))
        .collect();
    let expected = [
        (denied, "access_denied"),
        (late, "expired_token"),
        (locked, "access_denied"),
    ]
    .map(|(id, code)| (json!(id), json!(code)));
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_client_that_fails_is_sent_the_very_same_tokens_again() {
    let scene = Scene::new(Delivery::Push).await;
    scene.asked().await;
    scene.decide(Decision::Approve).await;
    scene.inbox.answers(StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(scene.tell().await, 0);
    assert_eq!(scene.tell().await, 0, "not before its time");
    assert_eq!(scene.inbox.arrived().len(), 1);
    scene.inbox.answers(StatusCode::OK);
    scene.house.bench.advance(Duration::from_secs(5));
    assert_eq!(scene.tell().await, 1);
    let bodies = scene.inbox.bodies();
    assert_eq!((bodies.len(), &bodies[0]), (2, &bodies[1]));
    let families =
        "select count(*) as n from token_families where approval_id is null and revoked_at is null";
    // One of the consent before, one of this.
    assert_eq!(scene.house.count(families).await, 2);
}

#[tokio::test]
async fn tokens_that_nobody_ever_took_are_ended() {
    let scene = Scene::new(Delivery::Push).await;
    scene.asked().await;
    scene.decide(Decision::Approve).await;
    scene.inbox.answers(StatusCode::BAD_GATEWAY);
    for _ in 0..6 {
        scene.tell().await;
        scene.house.bench.advance(Duration::from_secs(160));
    }
    assert_eq!(scene.tell().await, 0);
    let bodies = scene.inbox.bodies();
    assert_eq!(bodies.len(), 6);
    let refresh = bodies[0]["refresh_token"].as_str().unwrap();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let refused = scene.house.token(&scene.agent, &fields).await;
    assert_eq!(refused.error(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_redirect_of_a_notification_is_not_followed() {
    let scene = Scene::new(Delivery::Ping).await;
    scene.asked().await;
    scene.decide(Decision::Approve).await;
    for status in [
        StatusCode::FOUND,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ] {
        scene.inbox.answers(status);
        assert_eq!(scene.tell().await, 0);
        scene.house.bench.advance(Duration::from_secs(60));
    }
    assert_eq!(scene.inbox.arrived().len(), 3);
}

#[tokio::test]
async fn a_private_address_is_never_told_and_the_client_can_still_ask() {
    for address in [
        "https://10.0.0.1/told",
        "https://169.254.169.254/latest",
        "https://[fd00::1]/told",
        "https://0xa000001/told",
    ] {
        let (inbox, _) = Inbox::open().await;
        let scene = Scene::at(Delivery::Ping, inbox, address).await;
        let id = scene.asked().await;
        scene.decide(Decision::Approve).await;
        for _ in 0..9 {
            scene.tell().await;
            scene.house.bench.advance(Duration::from_secs(30));
        }
        let refused = "select count(*) as n from client_notifications \
                       where state = 'given_up' and detail like '%not a public one%'";
        assert_eq!(scene.house.count(refused).await, 1, "{address}");
        let tokens = scene.poll(&id).await;
        assert_eq!(tokens.status, 200, "{address}: {}", tokens.body);
    }
}

#[tokio::test]
async fn many_instances_tell_a_client_once() {
    let scene = Scene::new(Delivery::Push).await;
    scene.asked().await;
    scene.decide(Decision::Approve).await;
    let all = (0..20).map(|_| scene.tell());
    let settled: usize = futures::future::join_all(all).await.into_iter().sum();
    assert_eq!(settled, 1);
    assert_eq!(scene.inbox.arrived().len(), 1);
}

#[tokio::test]
async fn a_notification_token_is_of_its_own_request_and_opens_nothing_here() {
    let scene = Scene::new(Delivery::Ping).await;
    let mut expected = Vec::new();
    for token in ["first-token-of-this-client", "second-token-of-this-client"] {
        let asked = scene.request(&[("client_notification_token", token)]).await;
        expected.push((
            format!("Bearer {token}"),
            json!({ "auth_req_id": asked.text("auth_req_id") }),
        ));
        scene.decide(Decision::Approve).await;
        scene.house.bench.advance(Duration::from_secs(1));
    }
    scene.tell().await;
    let mut arrived = scene.inbox.arrived();
    arrived.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(arrived, expected);
    for path in ["/userinfo", "/me/v1/connected-accounts/accounts"] {
        let request = scene
            .house
            .request(axum::http::Method::GET, path, "")
            .bearer_auth("first-token-of-this-client");
        assert_eq!(scene.house.send(request).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn who_wants_to_be_told_must_send_a_bearer_token() {
    let scene = Scene::new(Delivery::Ping).await;
    let long = "a".repeat(1025);
    for token in ["", "a b", "a\r\nHost: x", "ä", &long] {
        let refused = scene.request(&[("client_notification_token", token)]).await;
        assert_eq!(
            refused.error(),
            (400, "invalid_request".to_owned()),
            "{token}"
        );
    }
    let none = "select count(*) as n from approvals";
    assert_eq!(scene.house.count(none).await, 0);
}

#[tokio::test]
async fn a_name_that_leads_outside_first_and_inside_then_is_not_followed_inside() {
    let scene = Scene::new(Delivery::Ping).await;
    // In tests loopback stands for the outside.
    let outside: Vec<IpAddr> = vec!["127.0.0.1".parse().unwrap()];
    let inside = ["10.0.0.1", "169.254.169.254", "fd00::1"].map(|text| text.parse().unwrap());
    let mixed = [&inside[..], &outside].concat();
    let names = &scene.house.bench.names;
    names.lead("localhost", [outside, inside.to_vec(), mixed]);
    for _ in 0..2 {
        scene.asked().await;
        scene.decide(Decision::Approve).await;
        scene.tell().await;
    }
    assert_eq!(scene.inbox.arrived().len(), 1, "the second led inside");
    let refused = "select count(*) as n from client_notifications \
                   where state = 'due' and detail like 'no connection%'";
    assert_eq!(scene.house.count(refused).await, 1);
    // Among several, only addresses of the outside are taken.
    scene.house.bench.advance(Duration::from_secs(5));
    assert_eq!(scene.tell().await, 1);
    assert_eq!(scene.inbox.arrived().len(), 2);
    // One look-up each: what was judged is what was connected to.
    assert_eq!(names.looked_up("localhost"), 3);
}

#[tokio::test]
async fn an_auth_req_id_gives_tokens_once_by_poll_ping_and_push() {
    for delivery in [Delivery::Poll, Delivery::Ping, Delivery::Push] {
        let (inbox, address) = Inbox::open().await;
        let scene = Scene::at(delivery, inbox, &address).await;
        let id = scene.asked().await;
        scene.decide(Decision::Approve).await;
        scene.tell().await;
        let first = scene.poll(&id).await;
        let mut answers = vec![first.status];
        for _ in 0..3 {
            scene.house.bench.advance(Duration::from_secs(60));
            scene.tell().await;
            answers.push(scene.poll(&id).await.status);
        }
        let pushed = delivery == Delivery::Push;
        let expected = [if pushed { 400 } else { 200 }, 400, 400, 400];
        assert_eq!(answers, expected, "{delivery:?}");
        let told = usize::from(delivery != Delivery::Poll);
        assert_eq!(scene.inbox.arrived().len(), told, "{delivery:?}");
        // The consent before had a family, and this request has one.
        let families = "select count(*) as n from token_families";
        assert_eq!(scene.house.count(families).await, 2, "{delivery:?}");
    }
}

#[tokio::test]
async fn a_client_frozen_after_the_request_gets_nothing_by_poll_ping_or_push() {
    for delivery in [Delivery::Poll, Delivery::Ping, Delivery::Push] {
        let (inbox, address) = Inbox::open().await;
        let scene = Scene::at(delivery, inbox, &address).await;
        let id = scene.asked().await;
        scene.decide(Decision::Approve).await;
        let (bench, client) = (&scene.house.bench, &scene.agent.client.id);
        clients::freeze(bench, None, client, ClientState::Frozen)
            .await
            .unwrap();
        scene.tell().await;
        assert_eq!(scene.inbox.arrived().len(), 0, "{delivery:?}");
        let refused = scene.poll(&id).await;
        assert_eq!(refused.error(), (401, "invalid_client".to_owned()));
        let tokens = "select count(*) as n from token_families where revoked_at is null";
        assert_eq!(scene.house.count(tokens).await, 1, "that of the consent");
        let used = "select count(*) as n from approvals where state = 'consumed'";
        assert_eq!(scene.house.count(used).await, 0, "{delivery:?}");
    }
}
