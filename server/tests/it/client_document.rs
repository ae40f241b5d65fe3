//! Clients whose id is the address of their metadata.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use domain::testing::{CHALLENGE, VERIFIER};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::house::{House, form};

const CALLBACK: &str = "https://notes.example/callback";

#[derive(Clone)]
struct Page(Arc<Mutex<(StatusCode, Value, usize)>>);

async fn page(State(Page(page)): State<Page>) -> (StatusCode, String) {
    let mut page = page.lock().unwrap();
    page.2 += 1;
    (page.0, page.1.to_string())
}

/// A web server with one document that tests change.
struct Site {
    id: String,
    page: Page,
}

impl Site {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let id = format!(
            "http://localhost:{}/client.json",
            listener.local_addr().unwrap().port()
        );
        let document = json!({
            "client_id": id,
            "client_name": "Notes",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
        });
        let page = Page(Arc::new(Mutex::new((StatusCode::OK, document, 0))));
        let app = Router::new()
            .route("/client.json", get(self::page))
            .with_state(page.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { id, page }
    }

    fn change(&self, member: &str, value: Value) {
        self.page.0.lock().unwrap().1[member] = value;
    }

    fn fetches(&self) -> usize {
        self.page.0.lock().unwrap().2
    }

    fn authorize(&self) -> Vec<(&str, &str)> {
        vec![
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", CALLBACK),
            ("scope", "openid"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]
    }
}

#[tokio::test]
async fn a_client_nobody_registered_is_what_its_document_says() {
    let house = House::open().await;
    let site = Site::open().await;
    let cookie = house.signed_in(&house.ada).await;
    let fields = site.authorize();
    let address = format!("/authorize?{}", form(&fields));
    let page = house.get(&address, &cookie).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("Notes") && page.body.contains("nobody vouches"));
    let mut answer = fields.clone();
    answer.push(("decision", "allow"));
    let allowed = house.post("/authorize/decision", &cookie, &answer).await;
    let to = url::Url::parse(allowed.location()).unwrap();
    let code = to
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned();
    let redeem = [
        ("grant_type", "authorization_code"),
        ("client_id", site.id.as_str()),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let tokens = house.post("/oauth/token", "", &redeem).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    assert_eq!(site.fetches(), 1, "it is kept for an hour");
    site.change("client_name", json!("Notes, renamed"));
    house.bench.advance(std::time::Duration::from_secs(3601));
    let cookie = house.signed_in(&house.ada).await;
    let again = house
        .get(&format!("{address}&prompt=consent"), &cookie)
        .await;
    assert!(again.body.contains("Notes, renamed"));
    // Its server is away: it stays what it was.
    house.bench.advance(std::time::Duration::from_secs(3601));
    site.page.0.lock().unwrap().0 = StatusCode::BAD_GATEWAY;
    let cookie = house.signed_in(&house.ada).await;
    assert_eq!(
        house
            .get(&format!("{address}&prompt=consent"), &cookie)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_document_that_is_not_the_clients_own_is_refused() {
    let house = House::open().await;
    let cookie = house.signed_in(&house.ada).await;
    for (member, value) in [
        ("client_id", json!("https://somebody.example/client.json")),
        ("client_id", Value::Null),
        ("client_secret", json!("a secret for everybody to read")),
        ("token_endpoint_auth_method", json!("client_secret_post")),
        ("redirect_uris", json!(["http://evil.example/"])),
        (
            "redirect_uris",
            json!(["https://elsewhere.example/callback"]),
        ),
    ] {
        let site = Site::open().await;
        site.change(member, value.clone());
        let address = format!("/authorize?{}", form(&site.authorize()));
        let refused = house.get(&address, &cookie).await;
        assert!((400..500).contains(&refused.status), "{member} {value}");
        assert_eq!(refused.location(), "");
    }
    let site = Site::open().await;
    site.page.0.lock().unwrap().0 = StatusCode::NOT_FOUND;
    let address = format!("/authorize?{}", form(&site.authorize()));
    assert!((400..500).contains(&house.get(&address, &cookie).await.status));
}

#[tokio::test]
async fn whoever_names_address_after_address_is_slowed() {
    let house = House::open().await;
    let site = Site::open().await;
    let mut refused = 0;
    for number in 0..200 {
        let id = format!("{}?n={number}", site.id);
        let fields = [
            ("response_type", "code"),
            ("client_id", id.as_str()),
            ("redirect_uri", CALLBACK),
        ];
        let answer = house
            .get(&format!("/authorize?{}", form(&fields)), "")
            .await;
        refused += usize::from(answer.status == 429);
    }
    assert!(refused > 0, "nobody was slowed");
    assert!(site.fetches() + refused <= 200);
    // The sign-in page fetches nothing, wherever it is asked to lead.
    let before = site.fetches();
    let back = format!("/authorize?client_id={}?n=999", site.id);
    let page = format!("/sign-in?{}", form(&[("return_to", &back)]));
    assert_eq!(house.get(&page, "").await.status, 200);
    assert_eq!(site.fetches(), before);
}

#[tokio::test]
async fn the_first_request_of_such_a_client_may_be_a_pushed_one() {
    let house = House::open().await;
    let site = Site::open().await;
    let fields = [
        ("response_type", "code"),
        ("client_id", site.id.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let pushed = house.post("/oauth/par", "", &fields).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
}
