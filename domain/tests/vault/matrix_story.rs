//! How a cell of the matrix is played.
//!
//! Two hours after it was linked an account's access token has ten seconds left
//! and an agent asks: the fault strikes. It asks again when the token has run
//! out; when the fault is over; and once more two hours later, which shows
//! whether the refresh token that was kept is one the provider honours.

use std::time::Duration;

use bytes::Bytes;
use domain::outbound::Ask;
use domain::secret::Secret;
use domain::vault::connections::{self, NewConnection, Source};
use domain::vault::link::{self, StartLink};
use domain::vault::{Account, Error, FreshToken, Overrides, Reason, TokenKind, fresh_token};
use futures::StreamExt as _;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use sandbox::{Client, Fault, Provider, Target, Times};

use crate::matrix_cells::{Class, Line, Outcome};
use crate::stage::{REDIRECT, SESSION, Stage};

/// How many cells are played at once.
const AT_ONCE: usize = 16;
/// How long access tokens live, in seconds.
const LIFETIME: i64 = 7200;

/// One cell.
pub struct Cell {
    /// The catalogue's entry, or a stand-in's.
    pub entry: &'static str,
    pub class: Class,
    pub line: &'static Line,
    pub outcome: Outcome,
}

impl Cell {
    /// Its connection's name, and its client id at the lookalike.
    fn name(&self) -> String {
        let fault = self.line.fault.to_string().replace(':', "-");
        match self.class {
            Class::None => format!("{}-none-{fault}", self.entry),
            Class::May => format!("{}-may-{fault}", self.entry),
            _ => format!("{}-{fault}", self.entry),
        }
    }

    /// The lookalike it is played at.
    pub fn at(&self) -> Provider {
        self.entry.parse().unwrap_or(Provider::Google)
    }
}

/// What an agent got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// The token it had before.
    Old,
    /// Another one, which the provider honours.
    New,
    /// Another one, which the provider does not honour.
    Dead,
    Down,
    Refused(String),
    Reconnect(Reason),
    Broken(String),
}

/// What was seen of one cell, in the order of the story.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// What the agent got while the old token lived, after that, when the fault
    /// was over, and two hours later.
    pub got: [Got; 4],
    /// The grant's state and the last intent's outcome after the first strike.
    pub stored: (String, Option<String>),
    /// The connection's state while the fault lasts.
    pub connection: String,
    /// The account's state and reason at the end.
    pub person: (String, Option<String>),
    /// Whether the scopes were kept.
    pub scopes: bool,
    /// Stored answers that nobody chose.
    pub left_over: i64,
    /// How often the provider was asked to refresh.
    pub asked: bool,
}

impl Seen {
    /// What an outcome means, in full.
    pub fn of(cell: &Cell) -> Self {
        use Got::{Down, New, Old, Reconnect};
        let refused = |code: &str| Got::Refused(code.to_owned());
        let (got, state, intent) = match cell.outcome {
            Outcome::Renewed => ([New, New, New, New], "fresh", Some("stored")),
            Outcome::Unannounced => ([New, Got::Dead, Got::Dead, New], "fresh", Some("stored")),
            Outcome::Withheld => (
                [New, New, New, Reconnect(Reason::Revoked)],
                "fresh",
                Some("stored"),
            ),
            Outcome::Waits => ([Old, Down, New, New], "fresh", Some("not_sent")),
            Outcome::Unsure => ([Old, Down, New, New], "unknown", Some("unknown")),
            Outcome::AskedAgain => ([Old, New, New, New], "unknown", Some("unknown")),
            Outcome::Lost => {
                let end = Reconnect(Reason::AnswerLost);
                (
                    [Old, end.clone(), end.clone(), end],
                    "unknown",
                    Some("unknown"),
                )
            }
            Outcome::Ended => {
                let end = Reconnect(Reason::Revoked);
                (
                    [end.clone(), end.clone(), end.clone(), end],
                    "reconnect",
                    Some("refused"),
                )
            }
            Outcome::Client(code) | Outcome::Refused(code) => {
                ([Old, refused(code), New, New], "fresh", Some("refused"))
            }
            Outcome::NeverAsked => ([Old, Old, Old, Old], "fresh", None),
        };
        let reason = cell.outcome.reason();
        Self {
            got,
            stored: (state.to_owned(), intent.map(str::to_owned)),
            connection: match cell.outcome {
                Outcome::Client(_) => "invalid_client",
                _ => "active",
            }
            .to_owned(),
            person: match reason {
                Some(reason) => ("reconnect".to_owned(), Some(reason.word().to_owned())),
                None => ("linked".to_owned(), None),
            },
            scopes: true,
            left_over: 0,
            asked: cell.outcome != Outcome::NeverAsked,
        }
    }
}

struct Played<'a> {
    cell: &'a Cell,
    account: Account,
    last: String,
    got: Vec<Got>,
    stored: (String, Option<String>),
    connection: String,
    scopes: bool,
}

/// Plays all cells at one sandbox and answers what was seen, in order.
pub async fn play(stage: &Stage, cells: &[Cell]) -> Vec<Seen> {
    for provider in Provider::ALL {
        stage.control.set_lifetime(provider, LIFETIME);
    }
    let mut played: Vec<Played<'_>> = futures::stream::iter(cells)
        .map(|cell| begin(stage, cell))
        .buffered(AT_ONCE)
        .collect()
        .await;
    stage.pass(7190);
    cells.iter().for_each(|cell| strike(stage, cell));
    played = each(stage, played, true).await;
    stage.pass(40);
    played = each(stage, played, true).await;
    stage.control.clear();
    stage.pass(120);
    played = each(stage, played, false).await;
    stage.pass(7200);
    played = each(stage, played, false).await;
    let asked: Vec<String> = Provider::ALL
        .into_iter()
        .flat_map(|provider| stage.control.requests(provider))
        .filter(|request| request.grant_type.as_deref() == Some("refresh_token"))
        .filter_map(|request| request.field("client_id"))
        .collect();
    let mut seen = Vec::new();
    for played in played {
        let left_over = stage
            .row(
                "select count(*) as n from refresh_candidates where account_id = $1 and chosen_at is null",
                vec![(&played.account.id).into()],
            )
            .await
            .unwrap();
        seen.push(Seen {
            person: stage.state(&played.account).await,
            left_over: left_over.get("n").unwrap(),
            asked: asked.contains(&played.cell.name()),
            got: played.got.try_into().unwrap(),
            stored: played.stored,
            connection: played.connection,
            scopes: played.scopes,
        });
    }
    seen
}

async fn each<'a>(stage: &Stage, played: Vec<Played<'a>>, struck: bool) -> Vec<Played<'a>> {
    futures::stream::iter(played)
        .map(|played| ask(stage, played, struck))
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// Arms the cell's fault for its client.
pub fn strike(stage: &Stage, cell: &Cell) {
    let (name, times) = (cell.name(), Times::N(cell.line.strikes));
    stage
        .control
        .set_fault_for(cell.at(), &name, Target::Refresh, cell.line.fault, times);
}

/// What an agent gets.
pub async fn token(stage: &Stage, account: &Account) -> Result<FreshToken, Error> {
    fresh_token(stage, &account.id, TokenKind::User).await
}

/// Sets up a connection of its own and links Ada's account there.
pub async fn linked(stage: &Stage, cell: &Cell) -> Account {
    let (name, at) = (cell.name(), cell.at());
    let secret = format!("secret of {name}");
    stage
        .control
        .add_client(Client::new(at, &name, &secret, [REDIRECT]));
    stage
        .control
        .set_rotation_for(at, &name, cell.class.rotation());
    let base = format!("{}/{at}", stage.sandbox.url());
    let new = NewConnection {
        id: name.clone(),
        provider: cell.entry.to_owned(),
        client_id: name.clone(),
        client_secret: Secret::new(secret),
        scopes: None,
        overrides: Overrides::below(cell.entry, &base).unwrap(),
        source: Source::Config,
    };
    connections::put(stage, new).await.unwrap();
    let start = StartLink {
        person_id: stage.ada.id.clone(),
        session_id: SESSION.to_owned(),
        connection: name,
        client: None,
        return_to: "/accounts".to_owned(),
        redirect_uri: REDIRECT.to_owned(),
    };
    let page = link::start(stage, start).await.unwrap();
    let finish = stage.click(&page, "ada@example.com").await;
    link::finish(stage, finish).await.unwrap().account
}

async fn begin<'a>(stage: &Stage, cell: &'a Cell) -> Played<'a> {
    let account = linked(stage, cell).await;
    let token = token(stage, &account).await.unwrap();
    Played {
        cell,
        account,
        last: token.access.expose().clone(),
        got: Vec::new(),
        stored: (String::new(), None),
        connection: String::new(),
        scopes: true,
    }
}

/// An agent asks once; what it gets is tried at the provider.
async fn ask<'a>(stage: &Stage, mut played: Played<'a>, struck: bool) -> Played<'a> {
    let cell = played.cell;
    let answer = token(stage, &played.account).await;
    let got = match answer {
        Ok(token) => {
            let extra = cell.line.fault == Fault::ExtraScopes && cell.class != Class::None;
            let mut kept = token.scopes.clone();
            kept.retain(|scope| !(extra && scope == "extra.unasked"));
            played.scopes &= kept == played.account.scopes;
            let access = token.access.expose().clone();
            let honoured = is_honoured(stage, cell.at(), &token).await;
            let first = played.last == access && !played.got.contains(&Got::New);
            played.last = access;
            match (honoured, first) {
                (false, _) => Got::Dead,
                (true, true) => Got::Old,
                (true, false) => Got::New,
            }
        }
        Err(Error::ProviderDown { .. }) => Got::Down,
        Err(Error::ProviderRefused { code, .. }) => Got::Refused(code),
        Err(Error::Reconnect { reason, .. }) => Got::Reconnect(reason),
        Err(other) => Got::Broken(other.to_string()),
    };
    if played.got.is_empty() {
        played.stored = stored(stage, &played.account).await;
    }
    if struck {
        let connection = connections::get(stage, &played.account.connection).await;
        played.connection = connection.unwrap().unwrap().state.word().to_owned();
    }
    played.got.push(got);
    played
}

async fn stored(stage: &Stage, account: &Account) -> (String, Option<String>) {
    let grant = stage
        .row(
            "select state from provider_grants where account_id = $1",
            vec![(&account.id).into()],
        )
        .await
        .unwrap();
    let intent = stage
        .row(
            "select outcome from refresh_intents where account_id = $1 order by started_at desc, id desc limit 1",
            vec![(&account.id).into()],
        )
        .await;
    let outcome = intent.map(|row| row.get("outcome").unwrap());
    (grant.get("state").unwrap(), outcome)
}

/// Whether the provider takes this token.
pub async fn is_honoured(stage: &Stage, at: Provider, token: &FreshToken) -> bool {
    let path = match at {
        Provider::Slack => "api/auth.test",
        Provider::Google => "v1/userinfo",
        Provider::Salesforce => "services/oauth2/userinfo",
    };
    let mut headers = HeaderMap::new();
    let bearer = HeaderValue::try_from(format!("Bearer {}", token.access.expose())).unwrap();
    headers.insert(AUTHORIZATION, bearer);
    let ask = || Ask {
        method: Method::GET,
        url: format!("{}/{at}/{path}", stage.sandbox.url())
            .parse()
            .unwrap(),
        headers: headers.clone(),
        body: Bytes::new(),
        timeout: Duration::from_secs(10),
        limit: 100_000,
    };
    let answer = match stage.outbound.send(ask()).await {
        Ok(answer) => answer,
        // A connection that was closed behind our back is no answer.
        Err(_) => stage.outbound.send(ask()).await.unwrap(),
    };
    let text = String::from_utf8_lossy(&answer.body);
    answer.status == StatusCode::OK && !text.contains("\"ok\":false")
}
