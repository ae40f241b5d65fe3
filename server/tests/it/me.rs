//! `/me/v1/connected-accounts`: linking by API, and the page of its ticket.

use axum::http::{Method, header};
use domain::oauth::{NewClient, Source};
use domain::vault::AccessMode;
use serde_json::{Value, json};
use url::Url;

use crate::house::{Agent, Answer, FORM, House, SLACK, form, path_of};

const BACK: &str = "https://agent.test/callback";
const CONNECT: &str = "/me/v1/connected-accounts/connect";
const COMPLETE: &str = "/me/v1/connected-accounts/complete";
const ACCOUNTS: &str = "/me/v1/connected-accounts/accounts";
const SCOPES: [&str; 3] = [
    "create:me:connected_accounts",
    "read:me:connected_accounts",
    "delete:me:connected_accounts",
];

struct Scene {
    house: House,
    _sandbox: sandbox::Sandbox,
    agent: Agent,
    token: String,
    cookie: String,
}

impl Scene {
    async fn open() -> Self {
        Self::with_mode(AccessMode::Release).await
    }

    async fn with_mode(mode: AccessMode) -> Self {
        let house = House::open().await;
        let sandbox = house.sandbox().await;
        let new = NewClient {
            redirect_uris: vec![BACK.to_owned()],
            scopes: SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
            access_mode: Some(mode),
            ..NewClient::confidential("Release bot", Source::Admin)
        };
        let (client, secret) = house.bench.register(new).await;
        let agent = Agent { client, secret };
        let audience = format!("{}me/", house.issuer());
        let token = house
            .bench
            .access_token(&agent.client, Some(&house.ada), &audience, &SCOPES);
        let cookie = house.signed_in(&house.ada).await;
        Self {
            _sandbox: sandbox,
            agent,
            token: token.expose().clone(),
            cookie,
            house,
        }
    }

    async fn call(&self, method: Method, path: &str, token: &str, body: &Value) -> Answer {
        let mut request = self.house.request(method, path, "");
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if !body.is_null() {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        self.house.send(request).await
    }

    async fn connect(&self) -> Answer {
        let body = json!({
            "connection": SLACK, "redirect_uri": BACK, "state": "s 1",
            "scopes": ["channels:read"], "authorization_params": {},
        });
        let answer = self.call(Method::POST, CONNECT, &self.token, &body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer
    }

    /// Where the browser is sent with the ticket.
    fn page(asked: &Answer) -> String {
        let body = asked.json();
        let ticket = body["connect_params"]["ticket"].as_str().unwrap();
        let mut url = Url::parse(body["connect_uri"].as_str().unwrap()).unwrap();
        url.query_pairs_mut().append_pair("ticket", ticket);
        path_of(url.as_str())
    }

    fn ticket(asked: &Answer) -> String {
        asked.json()["connect_params"]["ticket"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    async fn follow(&self, cookie: &str, asked: &Answer, account: &str) -> Answer {
        let ticket = Self::ticket(asked);
        let fields = [
            ("ticket", ticket.as_str()),
            ("decision", "continue"),
            ("account", account),
        ];
        self.house
            .post("/connected-accounts/connect", cookie, &fields)
            .await
    }

    /// Clicks through the provider's consent: where the browser ends up.
    async fn consent(&self, away: &Answer, fields: &str) -> Answer {
        let click = self
            .house
            .http
            .post(away.location())
            .header(header::CONTENT_TYPE, FORM)
            .body(fields.to_owned());
        let back = self.house.send(click).await;
        self.house
            .get(&path_of(back.location()), &self.cookie)
            .await
    }

    /// The whole way to the client's callback: its query.
    async fn answered(&self, asked: &Answer) -> Vec<(String, String)> {
        let away = self.follow(&self.cookie, asked, "new").await;
        assert_eq!(away.status, 303, "{}", away.body);
        query(&self.consent(&away, "email=ada@example.com").await)
    }

    async fn complete(&self, asked: &Answer, code: &str) -> Answer {
        let body = json!({
            "auth_session": asked.text("auth_session"), "connect_code": code, "redirect_uri": BACK,
        });
        self.call(Method::POST, COMPLETE, &self.token, &body).await
    }
}

fn query(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, 303, "{}", answer.body);
    let url = Url::parse(answer.location()).unwrap();
    assert!(url.as_str().starts_with(BACK), "{url}");
    url.query_pairs().into_owned().collect()
}

fn get<'a>(query: &'a [(String, String)], name: &str) -> &'a str {
    query
        .iter()
        .find(|(known, _)| known == name)
        .map_or("", |(_, value)| value)
}

fn problem(answer: &Answer) -> (u16, Value) {
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body = answer.json();
    assert_eq!(body["status"], answer.status);
    for member in ["type", "title", "detail"] {
        assert!(body[member].is_string(), "{body}");
    }
    (answer.status, body)
}

#[tokio::test]
async fn a_client_has_an_account_linked_and_exchanges_lists_and_unlinks() {
    let scene = Scene::open().await;
    let asked = scene.connect().await;
    assert!(asked.text("auth_session").len() <= 64);
    assert!(asked.json()["expires_in"].as_i64().unwrap() > 0);
    let page = scene.house.get(&Scene::page(&asked), &scene.cookie).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(
        page.body
            .contains("Release bot asks for your Slack account")
    );
    assert!(page.body.contains("can do everything these scopes allow"));
    assert!(page.body.contains("ada@example.com"));
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' http://127.0.0.1:")
            && policy.contains(" https://agent.test"),
        "{policy}"
    );

    let answered = scene.answered(&asked).await;
    assert_eq!(get(&answered, "state"), "s 1");
    let code = get(&answered, "connect_code");
    assert!((1..=46).contains(&code.len()));
    let completed = scene.complete(&asked, code).await;
    assert_eq!(completed.status, 201, "{}", completed.body);
    let account = completed.json();
    assert_eq!(account["connection"], SLACK);
    assert_eq!(account["access_type"], "offline");
    assert!(!account["scopes"].as_array().unwrap().is_empty());
    assert!(account["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        problem(&scene.complete(&asked, code).await).0,
        400,
        "it works once"
    );

    let tokens = scene
        .house
        .bench
        .tokens(&scene.agent.client, &scene.house.ada, "offline_access")
        .await;
    let exchange = [
        (
            "grant_type",
            "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token",
        ),
        (
            "subject_token",
            tokens.refresh_token.as_ref().unwrap().expose(),
        ),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:refresh_token",
        ),
        (
            "requested_token_type",
            "http://auth0.com/oauth/token-type/federated-connection-access-token",
        ),
        ("connection", SLACK),
    ];
    let released = scene.house.token(&scene.agent, &exchange).await;
    assert_eq!(released.status, 200, "{}", released.body);

    let listed = scene
        .call(Method::GET, ACCOUNTS, &scene.token, &Value::Null)
        .await;
    assert_eq!(listed.json()["accounts"][0]["id"], account["id"]);
    let at = format!("{ACCOUNTS}/{}", account["id"].as_str().unwrap());
    assert_eq!(
        scene
            .call(Method::DELETE, &at, &scene.token, &Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(
        problem(
            &scene
                .call(Method::DELETE, &at, &scene.token, &Value::Null)
                .await
        )
        .0,
        404
    );
    let gone = scene.house.token(&scene.agent, &exchange).await;
    assert_eq!(gone.error().0, 401);
}

#[tokio::test]
async fn an_account_that_is_linked_already_needs_only_the_persons_permission() {
    let scene = Scene::with_mode(AccessMode::Call).await;
    let back = scene.house.consented(SLACK, &scene.cookie, &[]).await;
    let linked = scene.house.get(&back, &scene.cookie).await;
    let account = linked
        .location()
        .strip_prefix("/accounts?linked=")
        .unwrap()
        .to_owned();
    let asked = scene.connect().await;
    let page = scene.house.get(&Scene::page(&asked), &scene.cookie).await;
    assert!(page.body.contains(&account) && page.body.contains("never sees a token"));
    let answered = query(&scene.follow(&scene.cookie, &asked, &account).await);
    let completed = scene.complete(&asked, get(&answered, "connect_code")).await;
    assert_eq!(completed.text("id"), account);
    let permitted =
        "select count(*) as n from permissions where state = 'active' and access_mode = 'call'";
    assert_eq!(scene.house.count(permitted).await, 1);
    let one = "select count(*) as n from accounts where state <> 'unlinked'";
    assert_eq!(scene.house.count(one).await, 1);
}

#[tokio::test]
async fn a_ticket_sent_to_somebody_else_links_nothing() {
    let scene = Scene::open().await;
    let asked = scene.connect().await;
    let nobody = scene.house.get(&Scene::page(&asked), "").await;
    assert_eq!(nobody.status, 303);
    assert!(nobody.location().starts_with("/sign-in?return_to="));
    let eve = scene.house.bench.person("eve@example.com").await;
    let eve = scene.house.signed_in(&eve).await;
    let page = scene.house.get(&Scene::page(&asked), &eve).await;
    assert_eq!(page.status, 403);
    assert!(page.body.contains("for somebody else") && !page.body.contains("ada@example.com"));
    assert_eq!(scene.follow(&eve, &asked, "new").await.status, 403);
    // It is still good for its person.
    let answered = scene.answered(&asked).await;
    assert!(!get(&answered, "connect_code").is_empty());
    // And then for nobody.
    assert_eq!(
        scene
            .house
            .get(&Scene::page(&asked), &scene.cookie)
            .await
            .status,
        410
    );
    assert_eq!(scene.follow(&scene.cookie, &asked, "new").await.status, 410);
}

#[tokio::test]
async fn a_ticket_runs_out() {
    let scene = Scene::open().await;
    let asked = scene.connect().await;
    scene
        .house
        .bench
        .advance(std::time::Duration::from_secs(301));
    assert_eq!(
        scene
            .house
            .get(&Scene::page(&asked), &scene.cookie)
            .await
            .status,
        410
    );
}

#[tokio::test]
async fn a_refusal_here_or_at_the_provider_goes_back_to_the_client() {
    let scene = Scene::open().await;
    let asked = scene.connect().await;
    let ticket = Scene::ticket(&asked);
    let fields = [("ticket", ticket.as_str()), ("decision", "cancel")];
    let refused = query(
        &scene
            .house
            .post("/connected-accounts/connect", &scene.cookie, &fields)
            .await,
    );
    assert_eq!(
        (get(&refused, "error"), get(&refused, "state")),
        ("access_denied", "s 1")
    );

    let asked = scene.connect().await;
    let away = scene.follow(&scene.cookie, &asked, "new").await;
    let state = Url::parse(away.location()).unwrap();
    let state = state
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    let back = format!(
        "/link/callback?{}",
        form(&[("error", "access_denied"), ("state", &state)])
    );
    let refused = query(&scene.house.get(&back, &scene.cookie).await);
    assert_eq!(get(&refused, "error"), "access_denied");
    assert_eq!(problem(&scene.complete(&asked, "att_cc_x").await).0, 400);
}

#[tokio::test]
async fn only_who_asked_completes_and_a_thiefs_try_costs_nothing() {
    let scene = Scene::open().await;
    let body = json!({
        "connection": SLACK, "redirect_uri": BACK,
        "code_challenge": domain::testing::CHALLENGE, "code_challenge_method": "S256",
    });
    let asked = scene.call(Method::POST, CONNECT, &scene.token, &body).await;
    let answered = scene.answered(&asked).await;
    let code = get(&answered, "connect_code");
    let audience = format!("{}me/", scene.house.issuer());
    let other = scene.house.agent().await;
    let eve = scene.house.bench.person("eve@example.com").await;
    let good = json!({
        "auth_session": asked.text("auth_session"), "connect_code": code, "redirect_uri": BACK,
        "code_verifier": domain::testing::VERIFIER,
    });
    let token = |agent: &Agent, person: &domain::identity::Person| {
        scene
            .house
            .bench
            .access_token(&agent.client, Some(person), &audience, &SCOPES)
            .expose()
            .clone()
    };
    for (with, member, value) in [
        (token(&other, &scene.house.ada), "redirect_uri", json!(BACK)),
        (token(&scene.agent, &eve), "redirect_uri", json!(BACK)),
        (
            scene.token.clone(),
            "redirect_uri",
            json!("https://agent.test/other"),
        ),
        (scene.token.clone(), "connect_code", json!("att_cc_wrong")),
        (scene.token.clone(), "auth_session", json!("att_as_wrong")),
        (scene.token.clone(), "code_verifier", json!("x".repeat(43))),
        (scene.token.clone(), "code_verifier", Value::Null),
    ] {
        let mut body = good.clone();
        body[member] = value;
        let refused = scene.call(Method::POST, COMPLETE, &with, &body).await;
        assert_eq!(problem(&refused).0, 400, "{member}");
    }
    assert_eq!(
        scene
            .call(Method::POST, COMPLETE, &scene.token, &good)
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_token_that_is_not_for_this_is_challenged_and_a_wrong_member_is_named() {
    let scene = Scene::open().await;
    let (client, ada) = (&scene.agent.client, Some(&scene.house.ada));
    let issuer = scene.house.issuer().to_owned();
    let me = format!("{issuer}me/");
    let body = json!({ "connection": SLACK, "redirect_uri": BACK });
    let bench = &scene.house.bench;
    for (token, status) in [
        (String::new(), 401),
        ("rubbish".to_owned(), 401),
        (
            bench
                .access_token(client, ada, &issuer, &SCOPES)
                .expose()
                .clone(),
            401,
        ),
        (
            bench
                .access_token(client, None, &me, &SCOPES)
                .expose()
                .clone(),
            401,
        ),
        (
            bench
                .approved_token(client, ada, &me, &SCOPES, Some("apr_1"))
                .expose()
                .clone(),
            401,
        ),
        (
            bench
                .access_token(client, ada, &me, &SCOPES[1..])
                .expose()
                .clone(),
            403,
        ),
    ] {
        let refused = scene.call(Method::POST, CONNECT, &token, &body).await;
        assert_eq!(problem(&refused).0, status);
        assert!(
            refused
                .header("www-authenticate")
                .contains("oauth-protected-resource/me")
        );
    }
    for (member, value, status) in [
        ("connection", json!("nowhere"), 404),
        ("connection", Value::Null, 400),
        ("connection", json!(7), 400),
        ("redirect_uri", json!("https://evil.example/"), 400),
        ("redirect_uri", json!("https://agent.test/callback?x"), 400),
        ("code_challenge", json!("short"), 400),
    ] {
        let mut body = body.clone();
        body[member] = value.clone();
        let refused = scene.call(Method::POST, CONNECT, &scene.token, &body).await;
        assert_eq!(problem(&refused).0, status, "{member} {value}");
    }
    let listed = scene
        .call(
            Method::GET,
            &format!("{ACCOUNTS}?take=0"),
            &scene.token,
            &Value::Null,
        )
        .await;
    assert_eq!(problem(&listed).1["validation_errors"][0]["field"], "take");
}

#[tokio::test]
async fn connections_are_listed_in_pages() {
    let scene = Scene::open().await;
    let path = "/me/v1/connected-accounts/connections";
    for parameter in ["from", "next"] {
        let mut seen = Vec::new();
        let mut next = String::new();
        loop {
            let page = scene
                .call(
                    Method::GET,
                    &format!("{path}?take=1{next}"),
                    &scene.token,
                    &Value::Null,
                )
                .await
                .json();
            let row = &page["connections"][0];
            assert!(row["strategy"].is_string() && row["scopes"].is_array());
            seen.push(row["name"].as_str().unwrap().to_owned());
            assert!(seen.len() <= 3, "{parameter} leads nowhere: {seen:?}");
            match page["next"].as_str() {
                Some(from) => next = format!("&{parameter}={from}"),
                None => break,
            }
        }
        seen.sort();
        assert_eq!(seen, ["google-oauth2", "salesforce", SLACK]);
    }
}
