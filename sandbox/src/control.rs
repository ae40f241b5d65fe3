//! The switches and the log, in process. `switches.rs` has them over HTTP.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::{Client, Provider, Rotation};
use crate::faults::{Armed, Fault, Target, Times};
use crate::google::SentMail;
use crate::slack::PostedMessage;
use crate::store::{Issued, Shared, TokenKind};
use crate::wire::{Ask, Call};

/// One request as it arrived, before any fault.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Unix milliseconds on the sandbox's clock.
    pub at: i64,
    pub method: String,
    /// With the provider's prefix, without the query.
    pub path: String,
    /// Decoded, in order.
    pub query: Vec<(String, String)>,
    /// Every header that is text, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Of a form body, whatever the endpoint.
    pub grant_type: Option<String>,
}

impl Recorded {
    pub(crate) fn of(ask: &Ask, grant_type: Option<String>, at: i64) -> Recorded {
        let headers = ask.headers.iter().filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        Recorded {
            at,
            method: ask.method.as_str().to_owned(),
            path: ask.path.clone(),
            query: ask.query.0.clone(),
            headers: headers.collect(),
            body: ask.body.to_vec(),
            grant_type,
        }
    }

    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| &**value)
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first field of that name in a form body.
    pub fn field(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(&self.body)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// A handle on a running sandbox's switches and log. Cheap to clone; works from any thread.
#[derive(Clone)]
pub struct Control {
    inner: Shared,
}

impl Control {
    pub(crate) fn new(inner: Shared) -> Control {
        Control { inner }
    }

    /// Arms a fault where it naturally belongs ([`Fault::natural_target`]).
    pub fn set_fault(&self, provider: Provider, fault: Fault, times: Times) {
        self.set_fault_on(provider, fault.natural_target(), fault, times);
    }

    /// Arms a fault for the requests of one kind only. Several faults may strike one request.
    pub fn set_fault_on(&self, provider: Provider, target: Target, fault: Fault, times: Times) {
        self.arm(provider, None, target, fault, times);
    }

    /// Arms a fault for one client's requests only; nobody else notices.
    pub fn set_fault_for(
        &self,
        provider: Provider,
        client_id: &str,
        target: Target,
        fault: Fault,
        times: Times,
    ) {
        self.arm(provider, Some(client_id.to_owned()), target, fault, times);
    }

    fn arm(
        &self,
        provider: Provider,
        client: Option<String>,
        target: Target,
        fault: Fault,
        times: Times,
    ) {
        self.inner.state().armed.push(Armed {
            provider,
            client,
            target,
            fault,
            times,
        });
    }

    /// The faults that wait for requests, in the order they were armed.
    pub(crate) fn armed(&self) -> Vec<Armed> {
        self.inner.state().armed.clone()
    }

    /// Disarms every fault of every provider. Gates, rotation and lifetimes stay as they are.
    pub fn clear(&self) {
        self.inner.state().armed.clear();
    }

    /// Holds answers of the token endpoint until the handle is released or dropped. The work behind
    /// a held answer is done.
    pub fn gate(&self, provider: Provider) -> Gate {
        self.gate_on(provider, Target::Token)
    }

    /// Holds the answers to requests of one kind.
    pub fn gate_on(&self, provider: Provider, target: Target) -> Gate {
        let bar = Arc::new(Bar::default());
        self.inner
            .state()
            .gates
            .push((provider, target, bar.clone()));
        Gate { bar }
    }

    /// Switches what a refresh does to refresh tokens from now on. For Slack, anything but
    /// [`Rotation::Keeps`] also makes new tokens expire and come with a refresh token.
    pub fn set_rotation(&self, provider: Provider, rotation: Rotation) {
        self.inner.state().service(provider).rotation = rotation;
    }

    /// The same for one client only.
    pub fn set_rotation_for(&self, provider: Provider, client_id: &str, rotation: Rotation) {
        let key = (provider, client_id.to_owned());
        self.inner.state().rotations.insert(key, rotation);
    }

    /// How long access tokens issued from now on live, in seconds.
    pub fn set_lifetime(&self, provider: Provider, seconds: i64) {
        self.inner.state().service(provider).lifetime_seconds = seconds;
    }

    /// Registers another client, or changes the one of that provider and id.
    pub fn add_client(&self, client: Client) {
        let mut state = self.inner.state();
        state
            .clients
            .retain(|c| (c.provider, &c.client_id) != (client.provider, &client.client_id));
        state.clients.push(client);
    }

    /// The person takes back what they allowed: all their tokens at the provider, for every client.
    /// Answers how many token families ended.
    pub fn revoke(&self, provider: Provider, email: &str) -> usize {
        self.inner.state().revoke_person(provider, email)
    }

    /// Every access token issued so far by the provider counts as expired; refresh tokens stay good.
    pub fn expire_access_tokens(&self, provider: Provider) {
        let past = self.inner.now() - 1;
        self.inner.state().expire_access_tokens(provider, past);
    }

    /// What the provider was asked, oldest first, consent pages included.
    pub fn requests(&self, provider: Provider) -> Vec<Recorded> {
        let state = self.inner.state();
        state
            .log
            .iter()
            .filter(|(p, _)| *p == Some(provider))
            .map(|(_, r)| r.clone())
            .collect()
    }

    /// Who followed a redirecting fault.
    pub fn followed_redirects(&self) -> Vec<Recorded> {
        let state = self.inner.state();
        state
            .log
            .iter()
            .filter(|(_, r)| r.path == "/elsewhere")
            .map(|(_, r)| r.clone())
            .collect()
    }

    /// How often the token endpoint was asked with that grant type (`authorization_code` includes
    /// Slack's calls without one). Faulty answers count.
    pub fn token_calls(&self, provider: Provider, grant_type: &str) -> usize {
        let state = self.inner.state();
        state
            .token_calls
            .get(&(provider, grant_type.to_owned()))
            .copied()
            .unwrap_or_default()
    }

    /// Messages posted to Slack through its API, oldest first.
    pub fn posted_messages(&self) -> Vec<PostedMessage> {
        self.inner.state().slack.posted()
    }

    /// Mails sent through Gmail's API, oldest first.
    pub fn sent_mails(&self) -> Vec<SentMail> {
        self.inner.state().google.sent()
    }

    /// Every access, refresh and ID token ever issued: canaries to search logs and databases for.
    pub fn issued_tokens(&self) -> Vec<Issued> {
        let state = self.inner.state();
        state
            .issued
            .iter()
            .filter(|issued| issued.kind != TokenKind::Code)
            .cloned()
            .collect()
    }

    /// Every authorization code ever issued. Codes do travel in URLs.
    pub fn issued_codes(&self) -> Vec<Issued> {
        let state = self.inner.state();
        state
            .issued
            .iter()
            .filter(|issued| issued.kind == TokenKind::Code)
            .cloned()
            .collect()
    }
}

/// What held requests wait at.
#[derive(Default)]
pub(crate) struct Bar {
    open: watch::Sender<bool>,
    arrived: watch::Sender<usize>,
}

impl Bar {
    pub async fn pass(&self) {
        self.arrived.send_modify(|count| *count += 1);
        // The sender is ours and outlives the wait.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }

    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }
}

/// A closed gate. Dropping it opens it.
pub struct Gate {
    bar: Arc<Bar>,
}

impl Gate {
    /// Waits until so many requests have come to the gate since it was closed.
    pub async fn arrived(&self, count: usize) {
        // The sender is ours and outlives the wait.
        let _ = self
            .bar
            .arrived
            .subscribe()
            .wait_for(|arrived| *arrived >= count)
            .await;
    }

    /// How many requests have come to the gate so far.
    pub fn count(&self) -> usize {
        *self.bar.arrived.borrow()
    }

    /// Lets everything through, now and from now on.
    pub fn release(self) {}
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.bar.open.send_replace(true);
    }
}

/// The grant type a token call is counted under.
pub(crate) fn counted_as(call: Call, grant_type: Option<&str>) -> Option<String> {
    call.is_token()
        .then(|| grant_type.unwrap_or("authorization_code").to_owned())
}
