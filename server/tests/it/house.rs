//! A served Attorn, a client of the web without a browser's kindness, and Ada.

use std::sync::Arc;

use attorn_server::door::{Door, Options, Peer};
use axum::http::{HeaderMap, Method, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Settings;
use domain::identity::{Person, sessions};
use domain::ids::{Rng as _, SeededRng};
use domain::limits::Quotas;
use domain::oauth::Client;
use domain::secret::Secret;
use domain::testing::Bench;
use domain::vault::Overrides;
use domain::vault::connections::{self, NewConnection, Source};
use leptos::config::LeptosOptions;
use reqwest::RequestBuilder;
use sandbox::{Config, Provider, Sandbox};
use serde_json::Value;
use tokio::net::TcpListener;
use tower_sessions::session::Id;
use url::Url;

pub const FORM: &str = "application/x-www-form-urlencoded";
pub const GOOGLE: &str = "google-oauth2";
pub const SLACK: &str = "sign-in-with-slack";

pub struct House {
    pub bench: Bench,
    pub ada: Person,
    /// Without a final slash.
    pub base: String,
    pub http: reqwest::Client,
}

/// An answer, read whole.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_default().to_owned()
    }

    pub fn location(&self) -> &str {
        self.header("location")
    }

    /// Status and code of an OAuth error, which has the shape that RFC 6749 §5.2 asks for.
    pub fn error(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("cache-control"), "no-store");
        assert!(!self.text("error_description").is_empty());
        (self.status, self.text("error"))
    }
}

pub async fn read(answer: reqwest::Response) -> Answer {
    Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: answer.text().await.unwrap(),
    }
}

pub fn form(fields: &[(&str, &str)]) -> String {
    serde_urlencoded::to_string(fields).unwrap()
}

pub fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// A path that never was one of Attorn's keeps its query, but not its origin.
pub fn path_of(url: &str) -> String {
    let url = Url::parse(url).unwrap();
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

#[expect(
    clippy::disallowed_methods,
    reason = "this client stands outside of the product and calls it"
)]
pub fn outside() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

impl House {
    pub async fn open() -> Self {
        Self::with_quotas(Quotas::default()).await
    }

    pub async fn with_quotas(quotas: Quotas) -> Self {
        Self::with(|settings| settings.quotas = quotas).await
    }

    /// With other settings than a bench has.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let issuer = Url::parse(&format!("http://localhost:{port}/")).unwrap();
        let bench = Bench::with(issuer.as_str(), change).await;
        let ada = bench.person("ada@example.com").await;
        let options = Options {
            hosts: Options::hosts_of(&issuer),
            issuer,
            trusted_proxies: Vec::new(),
            site_root: "no-such-folder".into(),
            demo_secret: None,
        };
        let door = Door {
            engine: bench.engine.clone(),
            leptos: Arc::new(LeptosOptions::builder().output_name("app").build()),
            options: Arc::new(options),
        };
        let service = attorn_server::router(&door).into_make_service_with_connect_info::<Peer>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self {
            bench,
            ada,
            base: format!("http://127.0.0.1:{port}"),
            http: outside(),
        }
    }

    pub fn issuer(&self) -> &str {
        &self.bench.settings.issuer
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        read(request.send().await.unwrap()).await
    }

    pub fn request(&self, method: Method, path: &str, cookie: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        if cookie.is_empty() {
            request
        } else {
            request.header(header::COOKIE, cookie)
        }
    }

    pub async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send(self.request(Method::GET, path, cookie)).await
    }

    pub async fn post(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_as(path, cookie, FORM, form(fields)).await
    }

    pub async fn post_as(
        &self,
        path: &str,
        cookie: &str,
        media: &str,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let request = self
            .request(Method::POST, path, cookie)
            .header(header::CONTENT_TYPE, media)
            .body(body);
        self.send(request).await
    }

    /// Asks the token endpoint with HTTP Basic.
    pub async fn token(&self, agent: &Agent, fields: &[(&str, &str)]) -> Answer {
        self.post_authenticated("/oauth/token", agent, fields).await
    }

    pub async fn post_authenticated(
        &self,
        path: &str,
        agent: &Agent,
        fields: &[(&str, &str)],
    ) -> Answer {
        let request = self
            .request(Method::POST, path, "")
            .header(header::CONTENT_TYPE, FORM)
            .header(
                header::AUTHORIZATION,
                basic(&agent.client.id, agent.secret.expose()),
            )
            .body(form(fields));
        self.send(request).await
    }

    /// The cookie of a fresh session, as a sign-in makes one; without the
    /// password's slow hash.
    pub async fn signed_in(&self, person: &Person) -> String {
        let number = i128::from_le_bytes(domain::ids::random(&*self.bench.rng));
        let id = Id(number).to_string();
        let now = self.bench.now();
        let data = serde_json::json!({ "person": person.id, "auth_time": now }).to_string();
        let end = now + attorn_server::session::LIFETIME;
        let made = sessions::create(&self.bench, &id, Some(&person.id), &data, end).await;
        assert!(made.unwrap());
        format!("attorn={id}")
    }

    pub async fn agent(&self) -> Agent {
        let (client, secret) = self.bench.client("Release bot").await;
        Agent { client, secret }
    }

    /// How many rows the query counts as `n`.
    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut reader = self.bench.store.reader().await.unwrap();
        let row = reader.optional(sql, vec![]).await.unwrap().unwrap();
        row.get("n").unwrap()
    }

    /// The sandbox on the house's clock, and a connection to each provider.
    pub async fn sandbox(&self) -> Sandbox {
        let (clock, random) = (self.bench.engine.clock.clone(), SeededRng::new(99));
        let mut config = Config::new(
            Arc::new(move || clock.now()),
            Arc::new(move |buffer: &mut [u8]| random.fill(buffer)),
        );
        let callback = format!("{}link/callback", self.issuer());
        let providers = [
            (Provider::Google, GOOGLE),
            (Provider::Slack, SLACK),
            (Provider::Salesforce, "salesforce"),
        ];
        for (provider, _) in providers {
            config.clients.push(sandbox::Client::new(
                provider,
                "attorn",
                "attorn's secret",
                [callback.clone()],
            ));
        }
        let sandbox = Sandbox::start(config).await.unwrap();
        for (provider, id) in providers {
            let base = format!("{}/{provider}", sandbox.url());
            let new = NewConnection {
                id: id.to_owned(),
                provider: provider.as_str().to_owned(),
                client_id: "attorn".to_owned(),
                client_secret: Secret::from("attorn's secret"),
                scopes: None,
                overrides: Overrides::below(provider.as_str(), &base).unwrap(),
                source: Source::Config,
            };
            connections::put(&self.bench, new).await.unwrap();
        }
        sandbox
    }

    /// Posts the link page's form and clicks through the provider's consent
    /// page: the way back to us, not yet gone.
    pub async fn consented(&self, connection: &str, cookie: &str, form: &[(&str, &str)]) -> String {
        let page = format!("/accounts/link/{connection}");
        let away = self.post(&page, cookie, form).await;
        assert_eq!(away.status, 303, "{}", away.body);
        let click = self
            .http
            .post(away.location())
            .header(header::CONTENT_TYPE, FORM)
            .body("email=ada@example.com");
        let back = self.send(click).await;
        path_of(back.location())
    }

    /// Links Ada's account and lets the agent use it in this mode; the account's id.
    pub async fn link(&self, connection: &str, cookie: &str, agent: &Agent, mode: &str) -> String {
        let fields = [
            ("client", agent.client.id.as_str()),
            ("permit", "on"),
            ("mode", mode),
        ];
        let back = self.consented(connection, cookie, &fields).await;
        let linked = self.get(&back, cookie).await;
        assert_eq!(linked.status, 303, "{}", linked.body);
        let account = linked.location().strip_prefix("/accounts?linked=");
        account.expect("the account is linked").to_owned()
    }
}

/// A confidential client and its secret.
pub struct Agent {
    pub client: Client,
    pub secret: Secret<String>,
}
