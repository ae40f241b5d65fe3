//! A provider that answers what it was told to, over real HTTP, and remembers
//! what it was asked: for providers that the sandbox does not play.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::identity::Person;
use domain::secret::Secret;
use domain::testing::Bench;
use domain::vault::connections::{self, NewConnection, Source};
use domain::vault::link::{self, FinishLink, Linked, StartLink};
use domain::vault::{Account, Overrides, accounts, providers};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

const REDIRECT: &str = "https://attorn.test/link/callback";

/// What was asked.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `POST /token`.
    pub line: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    /// A member of the body, whether it is a form or JSON.
    pub fn member(&self, name: &str) -> Option<String> {
        if let Ok(Value::Object(json)) = serde_json::from_str(&self.body) {
            return json.get(name)?.as_str().map(str::to_owned);
        }
        url::form_urlencoded::parse(self.body.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, (u16, String)>,
    seen: Vec<Seen>,
}

pub struct Lookalike {
    pub url: String,
    script: Arc<Mutex<Script>>,
}

impl Lookalike {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script: Arc<Mutex<Script>> = Arc::default();
        let told = script.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, told.clone()));
            }
        });
        Self { url, script }
    }

    /// Answers `POST /path` so from now on.
    pub fn answer(&self, line: &str, status: u16, body: impl ToString) {
        let mut script = self.script.lock().unwrap();
        let answer = (status, body.to_string());
        script.answers.insert(line.to_owned(), answer);
    }

    /// What `POST /path` was asked, in order.
    pub fn seen(&self, line: &str) -> Vec<Seen> {
        let script = self.script.lock().unwrap();
        let hits = script.seen.iter().filter(|seen| seen.line == line);
        hits.cloned().collect()
    }

    /// The one request that `POST /path` was asked last.
    pub fn last(&self, line: &str) -> Seen {
        self.seen(line)
            .pop()
            .unwrap_or_else(|| panic!("{line} was never asked: {:?}", self.lines()))
    }

    pub fn lines(&self) -> Vec<String> {
        let script = self.script.lock().unwrap();
        script.seen.iter().map(|seen| seen.line.clone()).collect()
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>) {
    let (mut buffer, mut bytes) = ([0_u8; 4096], Vec::new());
    let (head, length) = loop {
        let Ok(read @ 1..) = stream.read(&mut buffer).await else {
            return;
        };
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            let head = text[..end].to_owned();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse::<usize>().ok())
                .unwrap_or(0);
            break (head, end + 4 + length);
        }
    };
    while bytes.len() < length {
        let Ok(read @ 1..) = stream.read(&mut buffer).await else {
            return;
        };
        bytes.extend_from_slice(&buffer[..read]);
    }
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let path = target.split('?').next().unwrap_or_default();
    let seen = Seen {
        line: format!("{method} {path}"),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect(),
        body: String::from_utf8_lossy(&bytes[head.len() + 4..]).into_owned(),
    };
    let (status, body) = {
        let mut script = script.lock().unwrap();
        script.seen.push(seen.clone());
        let answer = script.answers.get(&seen.line).cloned();
        answer.unwrap_or_else(|| (404, "{}".to_owned()))
    };
    let answer = format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// Ada, and a connection of one provider that leads to a lookalike.
pub struct Scene {
    pub bench: Bench,
    pub ada: Person,
    pub provider: Lookalike,
}

pub const ID: &str = "our-client";
pub const SECRET: &str = "s3cret/with+signs";

/// What HTTP Basic looks like for us (RFC 6749 §2.3.1: form-encoded first).
pub fn basic() -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("{ID}:s3cret%2Fwith%2Bsigns"))
    )
}

impl Scene {
    /// A connection called `there` to the catalogue's entry `id`.
    pub async fn new(id: &str) -> Self {
        let scene = Self::bare().await;
        let overrides = Overrides::below(id, &scene.provider.url).unwrap();
        scene.connect(id, overrides).await.unwrap();
        scene
    }

    /// Without any connection.
    pub async fn bare() -> Self {
        let bench = Bench::new().await;
        let ada = bench.person("ada@example.com").await;
        Self {
            provider: Lookalike::start().await,
            bench,
            ada,
        }
    }

    pub async fn connect(
        &self,
        id: &str,
        overrides: Overrides,
    ) -> Result<domain::vault::Connection, domain::vault::Error> {
        let new = NewConnection {
            id: "there".to_owned(),
            provider: id.to_owned(),
            client_id: ID.to_owned(),
            client_secret: Secret::from(SECRET),
            scopes: None,
            overrides,
            source: Source::Config,
        };
        connections::put(&self.bench, new).await
    }

    /// Where a person is sent.
    pub async fn start(&self) -> Url {
        let ask = StartLink {
            person_id: self.ada.id.clone(),
            session_id: "session".to_owned(),
            connection: "there".to_owned(),
            client: None,
            return_to: "/accounts".to_owned(),
            redirect_uri: REDIRECT.to_owned(),
        };
        link::start(&self.bench, ask).await.unwrap()
    }

    /// The way back with a code.
    pub async fn finish(&self, sent_to: &Url) -> Result<Linked, link::Error> {
        self.finish_by(sent_to, None).await
    }

    /// The way back with a code, and with the `iss` of whoever sent it.
    pub async fn finish_by(&self, sent_to: &Url, iss: Option<&str>) -> Result<Linked, link::Error> {
        let ask = FinishLink {
            person_id: self.ada.id.clone(),
            session_id: "session".to_owned(),
            state: parameter(sent_to, "state").unwrap(),
            answer: Ok(Secret::from("a code")),
            iss: iss.map(str::to_owned),
        };
        link::finish(&self.bench, ask).await
    }

    pub async fn link(&self) -> Account {
        let to = self.start().await;
        self.finish(&to).await.unwrap().account
    }

    /// The code that a link failed with.
    pub async fn refusal(&self) -> String {
        let to = self.start().await;
        match self.finish(&to).await {
            Err(link::Error::Failed { code, .. }) => code,
            other => panic!("{other:?}"),
        }
    }

    pub async fn unlink(&self, account: &Account) -> accounts::Unlinked {
        accounts::unlink(&self.bench, &self.ada.id, &account.id)
            .await
            .unwrap()
    }
}

/// A parameter of an address.
pub fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

/// The path of an entry's address, as the lookalike has it.
pub fn token_line(id: &str) -> String {
    format!("POST {}", providers::provider(id).unwrap().token.path())
}
