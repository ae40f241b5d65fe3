//! Linking an account at a client's request: what `/me/v1/connected-accounts`
//! and its ticket page do (Auth0's My Account API has the same shape).
//!
//! The client asks for a ticket; the person opens its page, signed in as the
//! very person of the client's token, and sees who asks for what; the browser
//! goes back to the client with a code; the client completes with it. A ticket
//! sent to somebody else links nothing: the page refuses anybody but its
//! person, so that nobody's account lands in another's vault. Ticket, code and
//! session work once.
//!
//! The account and the permission count from the moment the person went
//! through the page, not from the completion: the provider has given a grant,
//! and a client that goes away must not lose it (promise 1); and it was the
//! person who permitted, not the client. The completion proves to the client
//! that it is the one who asked.
//!
//! A connection is always linked with the scopes its admin chose. An account
//! is shared by all agents of a person: linking it with fewer would take from
//! one what another needs. `scopes` of the answer are what the provider granted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use super::accounts::{self, Account};
use super::connections::{self, Connection, ConnectionState};
use super::link::{self, StartLink};
use super::permissions::{Give, give_within};
use super::{AccessMode, AccountState, Error};
use crate::audit::{Event, Kind};
use crate::keyring::sha256;
use crate::oauth::{Client, ClientState, OauthError, Presented, RequestHead, clients, present};
use crate::secret::Secret;
use crate::storage::{self, Row, Tx};
use crate::{Engine, ids};

/// Until when a ticket may be opened, in seconds.
pub const TICKET_S: i64 = 300;
/// How long a person may take at page and provider once it was opened, and a
/// client to complete, in milliseconds.
const STEP_MS: i64 = 15 * 60_000;
/// How long what has ended is remembered, in milliseconds.
const KEEP_MS: i64 = 24 * 60 * 60_000;
/// The path that a link begun here returns to; the rest is the request's id.
const RETURN: &str = "/connected-accounts/linked/";

/// Scope to link.
pub const CREATE: &str = "create:me:connected_accounts";
/// Scope to list.
pub const READ: &str = "read:me:connected_accounts";
/// Scope to unlink.
pub const DELETE: &str = "delete:me:connected_accounts";

/// Why a client's call at `/me` came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The access token.
    #[error(transparent)]
    Token(OauthError),
    /// A member is missing or wrong.
    #[error("{field}: {words}")]
    Invalid {
        /// Which member.
        field: &'static str,
        /// What is wrong with it.
        words: &'static str,
    },
    /// No such connection or account.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The session, its code or its redirect address do not belong together,
    /// were used, or are too old.
    #[error("this auth_session and connect_code are not good, or no longer")]
    BadSession,
    /// The vault, or the database.
    #[error(transparent)]
    Vault(#[from] Error),
}

impl From<storage::Error> for ApiError {
    fn from(error: storage::Error) -> Self {
        Self::Vault(error.into())
    }
}

/// Who calls `/me`: a client, for a person.
async fn caller(
    engine: &Engine,
    head: &RequestHead,
    scope: &str,
) -> Result<(Presented, String), ApiError> {
    let presented = present(engine, head, &engine.settings.me_audience())
        .await
        .map_err(ApiError::Token)?;
    let refused = |cause: &str| ApiError::Token(OauthError::token(cause));
    if presented.approval_id.is_some() {
        return Err(refused("an approval is good for its one call only"));
    }
    presented.need(scope).map_err(ApiError::Token)?;
    let person = presented
        .person_id
        .clone()
        .ok_or_else(|| refused("about no person"))?;
    Ok((presented, person))
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The connection's name.
    pub connection: String,
    /// Where the browser comes back to; the client's own, matched exactly.
    pub redirect_uri: String,
    /// Sent back as it came.
    pub state: Option<String>,
    /// PKCE, S256; `None` without.
    pub code_challenge: Option<String>,
}

/// A ticket for a person.
pub struct Asked {
    /// The client's own handle, for the completion.
    pub auth_session: Secret<String>,
    /// Where the person's browser goes, with `?ticket=`.
    pub connect_uri: String,
    /// What the browser takes there.
    pub ticket: Secret<String>,
    /// Seconds the ticket may wait.
    pub expires_in: i64,
}

fn short_token(engine: &Engine, prefix: &str) -> Secret<String> {
    let random: [u8; 24] = ids::random(&*engine.rng);
    Secret::new(format!("{prefix}_{}", URL_SAFE_NO_PAD.encode(random)))
}

fn hash(engine: &Engine, what: &str, token: &str) -> [u8; 32] {
    engine.keys.hash(what, token.as_bytes())
}

/// Makes a ticket.
///
/// # Errors
/// See [`ApiError`]; nothing is kept then.
pub async fn ask(engine: &Engine, head: &RequestHead, ask: Ask) -> Result<Asked, ApiError> {
    let (presented, person) = caller(engine, head, CREATE).await?;
    let client = clients::get(engine, &presented.client_id)
        .await
        .map_err(|error| Error::Invalid(error.to_string()))?
        .ok_or(ApiError::NotFound("client"))?;
    if !client.redirects_to(&ask.redirect_uri) {
        return Err(ApiError::Invalid {
            field: "redirect_uri",
            words: "it is not registered for this client",
        });
    }
    usable(engine, &ask.connection)
        .await?
        .ok_or(ApiError::NotFound("connection"))?;
    if let Some(challenge) = &ask.code_challenge
        && !(challenge.len() == 43
            && challenge
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)))
    {
        return Err(ApiError::Invalid {
            field: "code_challenge",
            words: "it is no S256 challenge",
        });
    }
    let (auth_session, ticket) = (short_token(engine, "att_as"), short_token(engine, "att_tk"));
    let (session_hash, ticket_hash) = (
        hash(engine, "connect_session", auth_session.expose()),
        hash(engine, "connect_ticket", ticket.expose()),
    );
    let client_id = client.id;
    engine
        .store
        .write(move |tx| {
            let (ask, client_id, person) = (ask.clone(), client_id.clone(), person.clone());
            Box::pin(async move {
                let (id, now) = (tx.new_id("cnr"), tx.now());
                tx.execute(
                    "insert into connect_requests (id, session_hash, ticket_hash, client_id, person_id, connection_id, \
                     redirect_uri, state_param, code_challenge, state, created_at, expires_at) \
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'asked', $10, $11)",
                    vec![
                        (&id).into(),
                        session_hash.into(),
                        ticket_hash.into(),
                        (&client_id).into(),
                        (&person).into(),
                        (&ask.connection).into(),
                        (&ask.redirect_uri).into(),
                        (&ask.state).into(),
                        (&ask.code_challenge).into(),
                        now.into(),
                        (now + TICKET_S * 1000).into(),
                    ],
                )
                .await?;
                tx.record(
                    Event::new(Kind::ConnectAsked)
                        .person(person)
                        .client(client_id)
                        .data("connection", ask.connection),
                );
                Ok::<_, storage::Error>(())
            })
        })
        .await?;
    Ok(Asked {
        auth_session,
        connect_uri: engine.settings.url("connected-accounts/connect"),
        ticket,
        expires_in: TICKET_S,
    })
}

async fn usable(engine: &Engine, id: &str) -> Result<Option<Connection>, Error> {
    let found = connections::get(engine, id).await?;
    Ok(found.filter(|connection| connection.state != ConnectionState::Disabled))
}

/// A request as it stands in the database.
#[derive(Clone)]
struct Request {
    id: String,
    client_id: String,
    person_id: String,
    connection: String,
    redirect_uri: String,
    state_param: Option<String>,
    code_challenge: Option<String>,
    account_id: Option<String>,
}

impl Request {
    fn from_row(row: &Row) -> Result<Self, storage::Error> {
        Ok(Self {
            id: row.get("id")?,
            client_id: row.get("client_id")?,
            person_id: row.get("person_id")?,
            connection: row.get("connection_id")?,
            redirect_uri: row.get("redirect_uri")?,
            state_param: row.get("state_param")?,
            code_challenge: row.get("code_challenge")?,
            account_id: row.get("account_id")?,
        })
    }

    /// The client's address with an answer.
    fn answer(&self, pairs: &[(&str, &str)]) -> Result<Url, Error> {
        let mut url = Url::parse(&self.redirect_uri)
            .map_err(|_| Error::Invalid("the client's address is no address".to_owned()))?;
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(pairs);
            if let Some(state) = &self.state_param {
                query.append_pair("state", state);
            }
        }
        Ok(url)
    }
}

/// What the ticket's page shows.
pub struct Ticket {
    /// Who asks.
    pub client: Client,
    /// For what.
    pub connection: Connection,
    /// How it may use the account, as it is registered.
    pub mode: AccessMode,
    /// Accounts of the person there that work: permitting one of them is enough.
    pub accounts: Vec<Account>,
    /// Where the browser goes afterwards.
    pub returns_to: Url,
}

/// Why a ticket's page cannot be shown or followed.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// Unknown, used, or too old.
    #[error("this link is not good any more; begin again at the application")]
    Gone,
    /// It is for another person.
    #[error("this link is for somebody else")]
    SomebodyElse,
    /// The vault, or the database.
    #[error(transparent)]
    Vault(#[from] Error),
}

impl From<storage::Error> for TicketError {
    fn from(error: storage::Error) -> Self {
        Self::Vault(error.into())
    }
}

/// Looks a ticket up for the person who is signed in. It is not used up.
///
/// # Errors
/// See [`TicketError`].
pub async fn ticket(engine: &Engine, person_id: &str, ticket: &str) -> Result<Ticket, TicketError> {
    let hash = hash(engine, "connect_ticket", ticket);
    let request = engine
        .store
        .reader()
        .await?
        .connect_request(hash)
        .await?
        .ok_or(TicketError::Gone)?;
    if request.person_id != person_id {
        return Err(TicketError::SomebodyElse);
    }
    let client = clients::get(engine, &request.client_id)
        .await
        .map_err(|error| Error::Invalid(error.to_string()))?
        .filter(|client| client.state == ClientState::Active)
        .ok_or(TicketError::Gone)?;
    let connection = usable(engine, &request.connection)
        .await?
        .ok_or(TicketError::Gone)?;
    let accounts = accounts::list(engine, person_id)
        .await?
        .into_iter()
        .filter(|account| {
            account.connection == connection.id && account.state == AccountState::Linked
        })
        .collect();
    Ok(Ticket {
        mode: client.access_mode.unwrap_or(AccessMode::Call),
        returns_to: request.answer(&[])?,
        client,
        connection,
        accounts,
    })
}

/// What the person answers on the ticket's page.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Use this account, linked already.
    Permit(String),
    /// Link one; the provider sends the browser back to this address of ours.
    Link {
        /// The callback.
        callback: String,
    },
    /// No.
    Refuse,
}

/// Follows the person's answer; the ticket is used up. Answers where the
/// browser goes: to the provider, or back to the client.
///
/// # Errors
/// See [`TicketError`].
pub async fn follow(
    engine: &Engine,
    person_id: &str,
    session_id: &str,
    ticket: &str,
    answer: Answer,
) -> Result<Url, TicketError> {
    let seen = self::ticket(engine, person_id, ticket).await?;
    let ticket_hash = hash(engine, "connect_ticket", ticket);
    let browser = hash(engine, "session", session_id);
    if let Answer::Permit(account) = &answer
        && !seen.accounts.iter().any(|one| one.id == *account)
    {
        return Err(Error::Invalid("that is not an account of yours there".to_owned()).into());
    }
    let code = short_token(engine, "att_cc");
    let code_hash = hash(engine, "connect_code", code.expose());
    let (at, mode, chosen) = (engine.clone(), seen.mode, answer.clone());
    let request = engine
        .store
        .write(move |tx| {
            let (engine, chosen) = (at.clone(), chosen.clone());
            Box::pin(async move {
                let request = tx
                    .take_ticket(ticket_hash, browser)
                    .await?
                    .ok_or(TicketError::Gone)?;
                match chosen {
                    Answer::Permit(account_id) => {
                        let give = Give {
                            person_id: request.person_id.clone(),
                            client_id: request.client_id.clone(),
                            account_id: account_id.clone(),
                            access_mode: mode,
                            scopes: None,
                            calls: None,
                        };
                        give_within(tx, &engine, give).await?;
                        tx.answer_connect(&request.id, &account_id, code_hash)
                            .await?;
                    }
                    Answer::Link { .. } => {}
                    Answer::Refuse => tx.refuse_connect(&request, "the person refused").await?,
                }
                Ok::<_, TicketError>(request)
            })
        })
        .await?;
    match answer {
        Answer::Permit(_) => Ok(request.answer(&[("connect_code", code.expose())])?),
        Answer::Refuse => Ok(request.answer(&[
            ("error", "access_denied"),
            ("error_description", "The person did not allow it."),
        ])?),
        Answer::Link { callback } => {
            let return_to = format!("{RETURN}{}", request.id);
            let start = StartLink {
                person_id: person_id.to_owned(),
                session_id: session_id.to_owned(),
                connection: request.connection.clone(),
                client: Some((request.client_id.clone(), mode)),
                return_to: return_to.clone(),
                redirect_uri: callback,
            };
            match link::start(engine, start).await {
                Ok(provider) => Ok(provider),
                // The ticket is used up: the client must hear of it.
                Err(error) => {
                    tracing::warn!(%error, "a link that a client asked for could not begin");
                    linked(engine, session_id, &return_to, Err("server_error")).await
                }
            }
        }
    }
}

/// Whether a link that returns to this path was begun by a ticket.
#[must_use]
pub fn began_here(return_to: &str) -> bool {
    return_to.starts_with(RETURN)
}

/// The link that a ticket began has come to an end: with this account, or with
/// an error of the provider. Answers where the browser goes: back to the client.
///
/// # Errors
/// [`TicketError::Gone`] when it is not this session's, or too old.
pub async fn linked(
    engine: &Engine,
    session_id: &str,
    return_to: &str,
    outcome: Result<&Account, &str>,
) -> Result<Url, TicketError> {
    let id = return_to
        .strip_prefix(RETURN)
        .ok_or(TicketError::Gone)?
        .to_owned();
    let browser = hash(engine, "session", session_id);
    let code = short_token(engine, "att_cc");
    let code_hash = hash(engine, "connect_code", code.expose());
    let account = outcome
        .ok()
        .map(|account| (account.id.clone(), account.connection.clone()));
    let failure = outcome.err().unwrap_or("another connection").to_owned();
    let (request, answered) = engine
        .store
        .write(move |tx| {
            let (id, account, failure) = (id.clone(), account.clone(), failure.clone());
            Box::pin(async move {
                let request = tx
                    .taken_connect(&id, browser)
                    .await?
                    .ok_or(TicketError::Gone)?;
                let fitting = account.filter(|(_, connection)| *connection == request.connection);
                match &fitting {
                    Some((account, _)) => {
                        tx.answer_connect(&request.id, account, code_hash).await?
                    }
                    None => tx.refuse_connect(&request, &failure).await?,
                }
                Ok::<_, TicketError>((request, fitting.is_some()))
            })
        })
        .await?;
    Ok(match outcome {
        Ok(_) if answered => request.answer(&[("connect_code", code.expose())])?,
        Err("access_denied") => request.answer(&[
            ("error", "access_denied"),
            (
                "error_description",
                "The person did not allow it at the provider.",
            ),
        ])?,
        _ => request.answer(&[
            ("error", "server_error"),
            (
                "error_description",
                "The provider did not complete the link.",
            ),
        ])?,
    })
}

/// What a client completes with.
#[derive(Clone)]
pub struct Complete {
    /// From the answer to its ask.
    pub auth_session: Secret<String>,
    /// From the browser.
    pub connect_code: Secret<String>,
    /// The one it asked with.
    pub redirect_uri: String,
    /// The PKCE verifier, if it asked with a challenge.
    pub code_verifier: Option<Secret<String>>,
}

/// Completes: answers the account. Works once.
///
/// # Errors
/// [`ApiError::BadSession`] where anything does not belong together.
pub async fn complete(
    engine: &Engine,
    head: &RequestHead,
    ask: Complete,
) -> Result<Account, ApiError> {
    let (presented, person) = caller(engine, head, CREATE).await?;
    let session_hash = hash(engine, "connect_session", ask.auth_session.expose());
    let code_hash = hash(engine, "connect_code", ask.connect_code.expose());
    let challenge = ask
        .code_verifier
        .as_ref()
        .map(|verifier| URL_SAFE_NO_PAD.encode(sha256(verifier.expose().as_bytes())));
    let (client_id, about) = (presented.client_id, person.clone());
    let redirect_uri = ask.redirect_uri;
    let account_id = engine
        .store
        .write(move |tx| {
            let (client_id, person) = (client_id.clone(), about.clone());
            let (redirect_uri, challenge) = (redirect_uri.clone(), challenge.clone());
            Box::pin(async move {
                let request = tx
                    .complete_connect(session_hash, code_hash)
                    .await?
                    .ok_or(ApiError::BadSession)?;
                // What does not fit rolls the use back: a thief's try costs nothing.
                let fits = request.client_id == client_id
                    && request.person_id == person
                    && request.redirect_uri == redirect_uri
                    && (request.code_challenge.is_none() || request.code_challenge == challenge);
                if !fits {
                    return Err(ApiError::BadSession);
                }
                let account = request.account_id.ok_or(ApiError::BadSession)?;
                tx.record(
                    Event::new(Kind::ConnectCompleted)
                        .person(person)
                        .client(client_id)
                        .account(&account)
                        .data("connection", request.connection),
                );
                Ok(account)
            })
        })
        .await?;
    Ok(accounts::get(engine, &person, &account_id).await?)
}

/// A person's accounts, as a client with the scope to read them sees them: at
/// most `take` after the one with id `from`, of one connection if named.
/// Answers them and the id to go on from.
///
/// # Errors
/// See [`ApiError`].
pub async fn list(
    engine: &Engine,
    head: &RequestHead,
    connection: Option<&str>,
    from: Option<&str>,
    take: usize,
) -> Result<(Vec<Account>, Option<String>), ApiError> {
    let (_, person) = caller(engine, head, READ).await?;
    let all = accounts::list(engine, &person).await?;
    let wanted = all
        .into_iter()
        .filter(|account| connection.is_none_or(|id| id == account.connection));
    Ok(page(wanted, from, take, |account| &account.id))
}

/// The connections a person can link, as [`list`] answers.
///
/// # Errors
/// See [`ApiError`].
pub async fn list_connections(
    engine: &Engine,
    head: &RequestHead,
    from: Option<&str>,
    take: usize,
) -> Result<(Vec<Connection>, Option<String>), ApiError> {
    caller(engine, head, READ).await?;
    let all = connections::list(engine).await?;
    let wanted = all
        .into_iter()
        .filter(|connection| connection.state != ConnectionState::Disabled);
    Ok(page(wanted, from, take, |connection| &connection.id))
}

fn page<T>(
    all: impl Iterator<Item = T>,
    from: Option<&str>,
    take: usize,
    id: impl Fn(&T) -> &String,
) -> (Vec<T>, Option<String>) {
    let mut rest: Vec<T> = match from {
        None => all.collect(),
        Some(from) => all.skip_while(|one| id(one) != from).skip(1).collect(),
    };
    let more = rest.len() > take;
    rest.truncate(take);
    let next = rest.last().filter(|_| more).map(|last| id(last).clone());
    (rest, next)
}

/// Unlinks an account at the wish of a client that has the scope.
///
/// # Errors
/// See [`ApiError`].
pub async fn unlink(engine: &Engine, head: &RequestHead, id: &str) -> Result<(), ApiError> {
    let (_, person) = caller(engine, head, DELETE).await?;
    match accounts::unlink(engine, &person, id).await {
        Ok(_) => Ok(()),
        Err(Error::NotFound) => Err(ApiError::NotFound("account")),
        Err(error) => Err(error.into()),
    }
}

/// Forgets requests that ended more than a day ago, at most a thousand.
///
/// # Errors
/// Storage's.
pub async fn sweep(engine: &Engine) -> Result<u64, storage::Error> {
    engine
        .store
        .write(move |tx| {
            Box::pin(async move {
                let before = tx.now() - KEEP_MS;
                tx.execute(
                    "delete from connect_requests where id in \
                     (select id from connect_requests where expires_at < $1 limit 1000)",
                    vec![before.into()],
                )
                .await
            })
        })
        .await
}

macro_rules! columns {
    () => {
        "id, client_id, person_id, connection_id, redirect_uri, state_param, code_challenge, account_id"
    };
}

impl Tx {
    async fn connect_request(
        &mut self,
        ticket: [u8; 32],
    ) -> Result<Option<Request>, storage::Error> {
        let now = self.now();
        let sql = concat!(
            "select ",
            columns!(),
            " from connect_requests where ticket_hash = $1 and state = 'asked' and expires_at > $2"
        );
        let row = self.optional(sql, vec![ticket.into(), now.into()]).await?;
        row.map(|row| Request::from_row(&row)).transpose()
    }

    /// Uses a ticket up for this browser session.
    async fn take_ticket(
        &mut self,
        ticket: [u8; 32],
        browser: [u8; 32],
    ) -> Result<Option<Request>, storage::Error> {
        let now = self.now();
        let row = self
            .swap(
                concat!("update connect_requests set state = 'taken', browser_hash = $2, expires_at = $3 \
                 where ticket_hash = $1 and state = 'asked' and expires_at > $4 \
                 returning ", columns!()),
                vec![ticket.into(), browser.into(), (now + STEP_MS).into(), now.into()],
            )
            .await?;
        row.map(|row| Request::from_row(&row)).transpose()
    }

    async fn taken_connect(
        &mut self,
        id: &str,
        browser: [u8; 32],
    ) -> Result<Option<Request>, storage::Error> {
        let now = self.now();
        let sql = concat!(
            "select ",
            columns!(),
            " from connect_requests where id = $1 and browser_hash = $2 and state = 'taken' and expires_at > $3"
        );
        let row = self
            .optional(sql, vec![id.into(), browser.into(), now.into()])
            .await?;
        row.map(|row| Request::from_row(&row)).transpose()
    }

    async fn answer_connect(
        &mut self,
        id: &str,
        account: &str,
        code: [u8; 32],
    ) -> Result<(), TicketError> {
        let now = self.now();
        self.swap(
            "update connect_requests set state = 'answered', account_id = $2, code_hash = $3, expires_at = $4 \
             where id = $1 and state = 'taken' returning id",
            vec![id.into(), account.into(), code.into(), (now + STEP_MS).into()],
        )
        .await?
        .ok_or(TicketError::Gone)?;
        Ok(())
    }

    async fn refuse_connect(&mut self, request: &Request, why: &str) -> Result<(), storage::Error> {
        self.execute(
            "update connect_requests set state = 'refused' where id = $1",
            vec![(&request.id).into()],
        )
        .await?;
        self.record(
            Event::new(Kind::ConnectRefused)
                .person(&request.person_id)
                .client(&request.client_id)
                .data("connection", request.connection.as_str())
                .data("reason", why),
        );
        Ok(())
    }

    async fn complete_connect(
        &mut self,
        session: [u8; 32],
        code: [u8; 32],
    ) -> Result<Option<Request>, storage::Error> {
        let now = self.now();
        let row = self
            .swap(
                concat!("update connect_requests set state = 'completed' \
                 where session_hash = $1 and code_hash = $2 and state = 'answered' and expires_at > $3 \
                 returning ", columns!()),
                vec![session.into(), code.into(), now.into()],
            )
            .await?;
        row.map(|row| Request::from_row(&row)).transpose()
    }
}
