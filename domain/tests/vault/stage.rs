//! A bench, the sandbox, and somebody who clicks through consent pages.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::Engine;
use domain::identity::Person;
use domain::ids::{Rng as _, SeededRng};
use domain::outbound::Ask;
use domain::secret::Secret;
use domain::storage::{self, Row, Value};
use domain::testing::Bench;
use domain::vault::connections::{self, NewConnection, Source};
use domain::vault::link::{self, FinishLink, Linked, StartLink};
use domain::vault::{AccessMode, Account, Overrides};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use sandbox::{Client, Config, Control, Provider, Sandbox};
use url::Url;

pub const REDIRECT: &str = "https://attorn.test/link/callback";
pub const SESSION: &str = "session of ada";

pub struct Stage {
    pub bench: Bench,
    pub sandbox: Sandbox,
    pub control: Control,
    pub ada: Person,
}

impl Deref for Stage {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.bench.engine
    }
}

pub fn connection(provider: Provider) -> &'static str {
    match provider {
        Provider::Slack => "sign-in-with-slack",
        Provider::Google => "google-oauth2",
        Provider::Salesforce => "salesforce",
    }
}

pub fn new_connection(provider: Provider, base: &str) -> NewConnection {
    NewConnection {
        id: connection(provider).to_owned(),
        provider: provider.as_str().to_owned(),
        client_id: format!("attorn-at-{provider}"),
        client_secret: Secret::new(format!("secret-of-{provider}")),
        scopes: None,
        overrides: Overrides::below(provider.as_str(), base).unwrap(),
        source: Source::Config,
    }
}

impl Stage {
    pub async fn new() -> Self {
        let bench = Bench::new().await;
        let clock = bench.engine.clock.clone();
        let random = SeededRng::new(99);
        let mut config = Config::new(
            Arc::new(move || clock.now()),
            Arc::new(move |buffer: &mut [u8]| random.fill(buffer)),
        );
        config.clients = Provider::ALL
            .into_iter()
            .map(|provider| {
                let new = new_connection(provider, "http://127.0.0.1:1");
                Client::new(
                    provider,
                    &new.client_id,
                    new.client_secret.expose(),
                    [REDIRECT],
                )
            })
            .collect();
        let sandbox = Sandbox::start(config).await.unwrap();
        for provider in Provider::ALL {
            let base = format!("{}/{provider}", sandbox.url());
            connections::put(&bench, new_connection(provider, &base))
                .await
                .unwrap();
        }
        let ada = bench.person("ada@example.com").await;
        Self {
            control: sandbox.control(),
            sandbox,
            bench,
            ada,
        }
    }

    pub async fn start(&self, provider: Provider, client: Option<(String, AccessMode)>) -> Url {
        let ask = StartLink {
            person_id: self.ada.id.clone(),
            session_id: SESSION.to_owned(),
            connection: connection(provider).to_owned(),
            client,
            return_to: "/accounts".to_owned(),
            redirect_uri: REDIRECT.to_owned(),
        };
        link::start(self, ask).await.unwrap()
    }

    /// Clicks the button of `who` on the provider's consent page.
    pub async fn click(&self, page: &Url, who: &str) -> FinishLink {
        let field = if who == "nobody" {
            "deny=1".to_owned()
        } else {
            format!("email={who}")
        };
        let back = self.post_form(page.clone(), field).await;
        let value = |name: &str| {
            back.query_pairs()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        FinishLink {
            person_id: self.ada.id.clone(),
            session_id: SESSION.to_owned(),
            state: value("state").expect("the provider gives the state back"),
            answer: value("code")
                .map(Secret::new)
                .ok_or_else(|| value("error").unwrap()),
            iss: value("iss"),
        }
    }

    async fn post_form(&self, url: Url, body: String) -> Url {
        let mut headers = HeaderMap::new();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(http::header::CONTENT_TYPE, form);
        let answer = self
            .outbound
            .send(Ask {
                method: Method::POST,
                url,
                headers,
                body: Bytes::from(body),
                timeout: Duration::from_secs(10),
                limit: 100_000,
            })
            .await
            .unwrap();
        assert_eq!(answer.status, StatusCode::FOUND, "{:?}", answer.body);
        Url::parse(answer.headers["location"].to_str().unwrap()).unwrap()
    }

    pub async fn try_link(&self, provider: Provider, who: &str) -> Result<Linked, link::Error> {
        let page = self.start(provider, None).await;
        let finish = self.click(&page, who).await;
        link::finish(self, finish).await
    }

    /// Somebody else here links the account of `who` at the provider.
    pub async fn link_as(&self, person: &Person, provider: Provider, who: &str) -> Account {
        let ask = StartLink {
            person_id: person.id.clone(),
            session_id: "another session".to_owned(),
            connection: connection(provider).to_owned(),
            client: None,
            return_to: "/accounts".to_owned(),
            redirect_uri: REDIRECT.to_owned(),
        };
        let page = link::start(self, ask).await.unwrap();
        let mut finish = self.click(&page, who).await;
        finish.person_id.clone_from(&person.id);
        "another session".clone_into(&mut finish.session_id);
        link::finish(self, finish).await.unwrap().account
    }

    pub async fn link(&self, provider: Provider) -> Account {
        self.try_link(provider, "ada@example.com")
            .await
            .unwrap()
            .account
    }

    /// Moves on by so many seconds; everything is on this one clock.
    pub fn pass(&self, seconds: u64) {
        self.bench.advance(Duration::from_secs(seconds));
    }

    /// Lets everybody else run: a few reads take their turns on real threads.
    pub async fn breathe(&self) {
        for _ in 0..20 {
            self.events("none").await;
        }
    }

    /// Waits until nobody is at a refresh: what came of it is noted by then.
    pub async fn settle(&self) {
        let held = "select count(*) as held from refresh_leases where not released";
        for _ in 0..2000 {
            let row = self.row(held, vec![]).await.unwrap();
            if row.get::<i64>("held").unwrap() == 0 {
                return;
            }
            self.breathe().await;
        }
        panic!("a refresh is under way for ever");
    }

    pub fn refreshes(&self, provider: Provider) -> usize {
        self.control.token_calls(provider, "refresh_token")
    }

    pub async fn sql(&self, sql: &'static str, args: Vec<Value>) {
        self.store
            .write(move |tx| {
                let args = args.clone();
                Box::pin(async move { tx.execute(sql, args).await })
            })
            .await
            .map_err(|error: storage::Error| error)
            .unwrap();
    }

    pub async fn row(&self, sql: &'static str, args: Vec<Value>) -> Option<Row> {
        self.store
            .reader()
            .await
            .unwrap()
            .optional(sql, args)
            .await
            .unwrap()
    }

    /// How many events of this kind there are.
    pub async fn events(&self, kind: &'static str) -> i64 {
        self.row(
            "select count(*) as n from events where kind = $1",
            vec![kind.into()],
        )
        .await
        .unwrap()
        .get("n")
        .unwrap()
    }

    pub async fn state(&self, account: &Account) -> (String, Option<String>) {
        let now = domain::vault::accounts::get(self, &account.person_id, &account.id)
            .await
            .unwrap();
        (now.state.word().to_owned(), now.state_reason)
    }
}
