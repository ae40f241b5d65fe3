//! Clients whose public keys are at an address of theirs (`jwks_uri`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::house::{Answer, House};
use crate::key::Key;

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct Published {
    status: StatusCode,
    keys: Vec<Value>,
    fetches: usize,
}

type Page = Arc<Mutex<Published>>;

async fn page(State(page): State<Page>) -> (StatusCode, String) {
    let mut page = page.lock().unwrap();
    page.fetches += 1;
    (page.status, json!({ "keys": page.keys }).to_string())
}

/// A client that registered with the address of its keys.
struct Scene {
    house: House,
    page: Page,
    client_id: String,
}

impl Scene {
    async fn with(key: &Key) -> Self {
        let house = House::open().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let page: Page = Arc::new(Mutex::new(Published {
            status: StatusCode::OK,
            keys: vec![key.public()],
            fetches: 0,
        }));
        let app = Router::new()
            .route("/jwks", get(self::page))
            .with_state(page.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let body = json!({
            "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": format!("http://localhost:{port}/jwks"),
        });
        let request = house
            .request(Method::POST, "/oidc/register", "")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.to_string());
        let registered = house.send(request).await;
        assert_eq!(registered.status, 201, "{}", registered.body);
        Self {
            client_id: registered.text("client_id"),
            house,
            page,
        }
    }

    fn publish(&self, key: &Key) {
        self.page.lock().unwrap().keys = vec![key.public()];
    }

    fn answer_with(&self, status: StatusCode) {
        self.page.lock().unwrap().status = status;
    }

    fn fetches(&self) -> usize {
        self.page.lock().unwrap().fetches
    }

    fn advance(&self, seconds: u64) {
        self.house.bench.advance(Duration::from_secs(seconds));
    }

    /// Asks for a token with an assertion by this key.
    async fn ask(&self, key: &Key, jti: &str) -> Answer {
        let now = self.house.bench.now() / 1000;
        let claims = json!({
            "iss": self.client_id, "sub": self.client_id, "aud": self.house.issuer(),
            "exp": now + 60, "jti": jti,
        });
        let assertion = key.sign("JWT", &claims);
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", BEARER),
            ("client_assertion", &assertion),
        ];
        self.house.post("/oauth/token", "", &fields).await
    }
}

#[tokio::test]
async fn keys_are_kept_and_a_key_that_is_not_among_them_has_them_fetched_anew() {
    let (old, new, unknown) = (Key::new("old"), Key::new("new"), Key::new("unknown"));
    let scene = Scene::with(&old).await;
    for jti in ["1", "2", "3"] {
        let answer = scene.ask(&old, jti).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(scene.fetches(), 1);
    // A new key is seen as soon as it is used, but not within half a minute.
    scene.publish(&new);
    assert_eq!(scene.ask(&new, "4").await.status, 401);
    assert_eq!(scene.fetches(), 1);
    scene.advance(31);
    assert_eq!(scene.ask(&new, "5").await.status, 200);
    assert_eq!(scene.fetches(), 2);
    assert_eq!(scene.ask(&old, "6").await.status, 401);
    assert_eq!(scene.ask(&unknown, "7").await.status, 401);
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test]
async fn a_wrong_signature_under_a_known_name_has_nothing_fetched() {
    let (key, impostor) = (Key::new("k"), Key::new("k"));
    let scene = Scene::with(&key).await;
    assert_eq!(scene.ask(&key, "1").await.status, 200);
    scene.advance(60);
    assert_eq!(scene.ask(&impostor, "2").await.status, 401);
    assert_eq!(scene.fetches(), 1);
}

#[tokio::test]
async fn a_key_server_that_is_away_for_a_while_locks_its_client_not_out() {
    let (key, other) = (Key::new("k"), Key::new("other"));
    let scene = Scene::with(&key).await;
    assert_eq!(scene.ask(&key, "1").await.status, 200);
    scene.answer_with(StatusCode::BAD_GATEWAY);
    // Somebody else's token has the set fetched, in vain; the good one stays.
    scene.advance(60);
    assert_eq!(scene.ask(&other, "2").await.status, 401);
    assert_eq!(scene.fetches(), 2);
    assert_eq!(scene.ask(&key, "3").await.status, 200);
    scene.advance(6 * 60);
    assert_eq!(scene.ask(&key, "4").await.status, 200);
    assert_eq!(scene.fetches(), 3);
    // But not for ever, and it comes back by itself.
    scene.advance(60 * 60);
    assert_eq!(scene.ask(&key, "5").await.status, 401);
    scene.answer_with(StatusCode::OK);
    scene.advance(31);
    assert_eq!(scene.ask(&key, "6").await.status, 200);
}

#[tokio::test]
async fn all_who_need_the_keys_at_once_share_one_fetch() {
    let key = Key::new("k");
    let scene = Scene::with(&key).await;
    let names: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    let asked = names.iter().map(|jti| scene.ask(&key, jti));
    for answer in futures::future::join_all(asked).await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(scene.fetches(), 1);
}
