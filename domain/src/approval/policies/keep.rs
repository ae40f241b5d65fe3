//! Keeping the policies: the one row, what is known of it, and the verbs of admins.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use evidence::json::canonical;
use serde_json::json;

use super::{Approvers, CoveredCalls, Demands, MOST, Policy, PolicySet, Rule};
use crate::approval::types::{KNOWN, line};
use crate::audit::{Event, Kind};
use crate::storage::{self, Error, Feed, Json, Known, Tx};
use crate::vault::{self, connections};
use crate::{Engine, identity, oauth};

const TABLE: &str = "approval_policies";
/// What changes are signalled as, and the row's id.
const POLICIES: &str = "policies";
const ROW: &str = "set";

/// At most so many people are named as approvers.
const MOST_APPROVERS: usize = 20;

/// Methods that pass the proxy.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// What is known of the policies.
pub(in crate::approval) struct Memory {
    known: Arc<Known<Arc<PolicySet>>>,
    /// The newest number that was seen; -1 while nothing was looked for.
    seen: AtomicI64,
}

impl Memory {
    pub(in crate::approval) fn new(feed: &Feed) -> Self {
        Self {
            known: Known::new(feed, POLICIES, 1),
            seen: AtomicI64::new(-1),
        }
    }
}

/// The policies in force, as they were at most [`storage::FRESH_MS`] ago.
///
/// # Errors
/// The database's; a set that was changed, taken out or put back by another
/// hand is refused.
pub(crate) async fn in_force(engine: &Engine) -> Result<Arc<PolicySet>, Error> {
    let memory = &engine.approvals.policies;
    if let Some(set) = memory.known.get(ROW) {
        return Ok(set);
    }
    let ticket = memory.known.ticket();
    let set = Arc::new(list(engine).await?);
    memory.known.keep(ticket, ROW, set.clone());
    Ok(set)
}

/// The policies in force, read from their row.
///
/// # Errors
/// The database's; a set that was changed, taken out or put back by another
/// hand is refused.
pub async fn list(engine: &Engine) -> Result<PolicySet, Error> {
    let set = engine.store.reader().await?.policies(engine).await?;
    // Only what was committed was seen: a write may still be undone.
    let seen = &engine.approvals.policies.seen;
    seen.fetch_max(set.version, Ordering::AcqRel);
    Ok(set)
}

/// What an admin wants.
#[derive(Clone, Debug)]
pub struct NewPolicy {
    /// See [`Policy`].
    pub name: String,
    /// See [`Policy`].
    pub client_id: Option<String>,
    /// See [`Policy`].
    pub rule: Rule,
}

/// Why a policy is not added or removed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A field is wrong; the sentence says how.
    #[error("{1}")]
    Invalid(&'static str, String),
    /// There is no such policy of the console's.
    #[error("there is no such policy")]
    NotFound,
    /// There are as many as there may be.
    #[error("there are {MOST} policies; remove one first")]
    TooMany,
    /// Somebody else changed them at the same time.
    #[error("somebody else changed the policies just now; look again and repeat it")]
    Changed,
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl From<oauth::clients::Error> for PolicyError {
    fn from(error: oauth::clients::Error) -> Self {
        match error {
            oauth::clients::Error::Storage(error) => Self::Storage(error),
            other => Self::Invalid("client_id", other.to_string()),
        }
    }
}

impl NewPolicy {
    /// Checks what can be checked without the database.
    ///
    /// # Errors
    /// [`PolicyError::Invalid`].
    pub fn checked(mut self) -> Result<Self, PolicyError> {
        self.name = self.name.trim().to_owned();
        line("name", &self.name).map_err(|words| PolicyError::Invalid("name", words))?;
        if self.name.chars().count() > 80 {
            let words = "`name` must be at most 80 characters".to_owned();
            return Err(PolicyError::Invalid("name", words));
        }
        match &mut self.rule {
            Rule::Approving {
                details_type,
                demands,
            } => {
                let known = |name: &String| KNOWN.iter().any(|(known, _)| known == name);
                if !details_type.as_ref().is_none_or(known) {
                    let words = "`details_type` is not one of the known types".to_owned();
                    return Err(PolicyError::Invalid("details_type", words));
                }
                demands.approvers.iter().try_for_each(check_approvers)?;
                if *demands == Demands::default() {
                    let words = "the policy asks for nothing".to_owned();
                    return Err(PolicyError::Invalid("passkey", words));
                }
            }
            Rule::Calling(calls) => calls.check()?,
        }
        Ok(self)
    }
}

fn check_approvers(group: &Approvers) -> Result<(), PolicyError> {
    let distinct: HashSet<&String> = group.people.iter().collect();
    if distinct.len() != group.people.len() || distinct.len() > MOST_APPROVERS {
        let words = format!("`approvers` are at most {MOST_APPROVERS}, each named once");
        return Err(PolicyError::Invalid("approvers", words));
    }
    if group.needed == 0 || usize::from(group.needed) > distinct.len() {
        let words = "`needed` is at least 1 and at most as many as there are approvers".to_owned();
        return Err(PolicyError::Invalid("needed", words));
    }
    Ok(())
}

impl CoveredCalls {
    fn check(&mut self) -> Result<(), PolicyError> {
        let wrong = |field, words: &str| Err(PolicyError::Invalid(field, words.to_owned()));
        for method in &mut self.methods {
            method.make_ascii_uppercase();
        }
        if !self
            .methods
            .iter()
            .all(|one| METHODS.contains(&one.as_str()))
        {
            return wrong(
                "methods",
                "`methods` may be GET, HEAD, POST, PUT, PATCH and DELETE",
            );
        }
        let path = self.path.as_str();
        let fits = path.len() <= 300 && path.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        if !fits || !path.starts_with(['/', '*']) {
            return wrong(
                "path",
                "`path` must begin with / and be printable ASCII; * stands for any text",
            );
        }
        if path.contains(['?', '#', '%', ';', '\\']) || path.contains("//") {
            return wrong(
                "path",
                "`path` is written plainly: without a query, and with nothing encoded",
            );
        }
        Ok(())
    }
}

/// Adds a policy. `by` is the admin.
///
/// # Errors
/// See [`PolicyError`].
pub async fn add(engine: &Engine, by: &str, new: NewPolicy) -> Result<Policy, PolicyError> {
    let new = new.checked()?;
    if let Some(id) = &new.client_id
        && oauth::clients::get(engine, id).await?.is_none()
    {
        let words = "there is no client with this id".to_owned();
        return Err(PolicyError::Invalid("client_id", words));
    }
    if let Rule::Approving { demands, .. } = &new.rule {
        for id in demands.approvers.iter().flat_map(|group| &group.people) {
            let active = identity::person(engine, id)
                .await
                .map_err(|error| match error {
                    identity::Error::Storage(error) => PolicyError::Storage(error),
                    other => PolicyError::Invalid("approvers", other.to_string()),
                })?
                .is_some_and(|person| person.state == identity::State::Active);
            if !active {
                let words = "one of the approvers is nobody here".to_owned();
                return Err(PolicyError::Invalid("approvers", words));
            }
        }
    }
    if let Rule::Calling(calls) = &new.rule
        && connections::get(engine, &calls.connection)
            .await
            .map_err(|error| match error {
                vault::Error::Storage(error) => PolicyError::Storage(error),
                other => PolicyError::Invalid("connection", other.to_string()),
            })?
            .is_none()
    {
        let words = "there is no connection of this name".to_owned();
        return Err(PolicyError::Invalid("connection", words));
    }
    let (within, by) = (engine.clone(), by.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, by, new) = (within.clone(), by.clone(), new.clone());
            Box::pin(async move {
                let mut kept = tx.kept_policies(&engine).await?;
                if kept.policies.len() >= MOST {
                    return Err(PolicyError::TooMany);
                }
                let policy = Policy {
                    id: tx.new_id("pol"),
                    name: new.name,
                    client_id: new.client_id,
                    rule: new.rule,
                    created_at: tx.now(),
                };
                kept.policies.push(policy.clone());
                tx.put_policies(&engine, &mut kept).await?;
                tx.record(event(Kind::PolicyAdded, &by, &policy, kept.version));
                Ok(policy)
            })
        })
        .await
}

/// Takes a policy out. `by` is the admin. What was asked for while it was in
/// force is held to it still.
///
/// # Errors
/// See [`PolicyError`].
pub async fn remove(engine: &Engine, by: &str, id: &str) -> Result<Policy, PolicyError> {
    let (within, by, id) = (engine.clone(), by.to_owned(), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, by, id) = (within.clone(), by.clone(), id.clone());
            Box::pin(async move {
                let mut kept = tx.kept_policies(&engine).await?;
                let at = kept
                    .policies
                    .iter()
                    .position(|policy| policy.id == id)
                    .ok_or(PolicyError::NotFound)?;
                let policy = kept.policies.remove(at);
                tx.put_policies(&engine, &mut kept).await?;
                tx.record(event(Kind::PolicyRemoved, &by, &policy, kept.version));
                Ok(policy)
            })
        })
        .await
}

/// The number in the event lets a later start miss a row that is older.
fn event(kind: Kind, by: &str, policy: &Policy, version: i64) -> Event {
    let mut event = Event::new(kind)
        .person(by)
        .data("policy", policy.id.as_str())
        .data("version", version)
        .data(
            "rule",
            serde_json::to_value(&policy.rule).unwrap_or_default(),
        )
        .private("name", policy.name.clone());
    if let Some(client) = &policy.client_id {
        event = event.client(client);
    }
    event
}

fn covered(kept: &PolicySet) -> Vec<u8> {
    canonical(&json!({"version": kept.version.to_string(), "policies": kept.policies}))
}

impl Tx {
    /// All policies in force.
    pub(crate) async fn policies(&mut self, engine: &Engine) -> Result<PolicySet, Error> {
        let kept = self.kept_policies(engine).await?;
        let mut policies = engine.settings.policies.clone();
        policies.extend(kept.policies);
        Ok(PolicySet {
            policies,
            version: kept.version,
        })
    }

    /// Those of the console.
    async fn kept_policies(&mut self, engine: &Engine) -> Result<PolicySet, Error> {
        let bad = |column| Error::BadRow {
            table: TABLE,
            column,
            id: ROW.to_owned(),
        };
        // Before the row is read: what is read later is not older.
        let mut least = engine.approvals.policies.seen.load(Ordering::Acquire);
        if least < 0 {
            least = self.policies_in_log().await?;
        }
        let row = self
            .optional(
                "select id, version, policies, mac, mac_key from approval_policies where id = $1",
                vec![ROW.into()],
            )
            .await?;
        let kept = match row {
            None => PolicySet::default(),
            Some(row) => {
                let kept = PolicySet {
                    version: row.get("version")?,
                    policies: row.json(TABLE, "policies")?,
                };
                let (mac, key): (Vec<u8>, String) = (row.get("mac")?, row.get("mac_key")?);
                if !engine.keys.mac_holds(TABLE, &covered(&kept), &mac, &key) {
                    return Err(bad("mac"));
                }
                kept
            }
        };
        if kept.version < least {
            return Err(bad("version"));
        }
        Ok(kept)
    }

    /// The newest number that the audit log tells of; 0 if it tells of none.
    async fn policies_in_log(&mut self) -> Result<i64, Error> {
        let mut newest = 0;
        for kind in [Kind::PolicyAdded, Kind::PolicyRemoved] {
            for data in self.newest_event_data(kind).await? {
                let version = data.get("version").and_then(serde_json::Value::as_i64);
                newest = newest.max(version.unwrap_or(0));
            }
        }
        Ok(newest)
    }

    /// Writes them anew, under the next number.
    async fn put_policies(
        &mut self,
        engine: &Engine,
        kept: &mut PolicySet,
    ) -> Result<(), PolicyError> {
        let was = kept.version;
        kept.version = was + 1;
        let (mac, mac_key) = engine.keys.mac(TABLE, &covered(kept));
        let now = self.now();
        let put = self
            .swap(
                "insert into approval_policies (id, version, policies, updated_at, mac, mac_key) \
                 values ($1, $2, $3, $4, $5, $6) on conflict (id) do update set version = $2, policies = $3, \
                 updated_at = $4, mac = $5, mac_key = $6 where approval_policies.version = $7 returning id",
                vec![
                    ROW.into(),
                    kept.version.into(),
                    Json(&kept.policies).into(),
                    now.into(),
                    mac.into(),
                    mac_key.into(),
                    was.into(),
                ],
            )
            .await?;
        if put.is_none() {
            return Err(PolicyError::Changed);
        }
        self.signal(None, POLICIES, ROW);
        Ok(())
    }
}

/// The policies of a configuration file, each checked; ids are their places.
///
/// # Errors
/// A sentence that names the entry.
pub fn configured(all: Vec<NewPolicy>) -> Result<Vec<Policy>, String> {
    let mut names = HashSet::new();
    all.into_iter()
        .enumerate()
        .map(|(at, new)| {
            let new = new
                .checked()
                .map_err(|error| format!("approvals.policies, entry {}: {error}", at + 1))?;
            if !names.insert(new.name.clone()) {
                return Err(format!("approvals.policies has {:?} twice", new.name));
            }
            Ok(Policy {
                id: format!("config-{}", at + 1),
                name: new.name,
                client_id: new.client_id,
                rule: new.rule,
                created_at: 0,
            })
        })
        .collect()
}
