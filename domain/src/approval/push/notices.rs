//! Telling people's browsers of requests, and of devices that a recovery code
//! gave: a row for each browser, written in the write that makes or ends the
//! thing, and tried until it is taken.
//!
//! What always holds here: a notice says what, who asks and which request, never
//! a credential; it goes to the browsers of the person who is asked and to
//! nobody else's; none is sent after its request has expired.

use std::future::Future;

use serde_json::json;

use super::subscriptions::{self, SubscribeError};
use super::{Outcome, Push, SendError, Topic, Urgency, send};
use crate::Engine;
use crate::approval::read::Approval;
use crate::approval::state::State;
use crate::due::{self, CLAIM_MS, End};
use crate::identity::passkeys::HOLD_MS;
use crate::storage::{self, Tx};

/// As many go to one browser at once: a push service that hangs does not keep others waiting.
const AT_ONCE_OF_ONE: usize = 4;
/// For how long "already decided" is of use, in seconds.
const ENDED_TTL_S: u32 = 60 * 60;
/// How long settled notices are kept, milliseconds: the delivery log.
const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// How long subscriptions that ended are kept, milliseconds.
const ENDED_KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// The topic of the signal that one is due.
const DUE: &str = "notice";
const TABLE: &str = "notices";

/// What a notice says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Somebody asks.
    Asked,
    /// It was decided, or ended otherwise.
    Ended,
    /// A recovery code gave the person a device.
    Device,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Ended => "ended",
            Self::Device => "device",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "asked" => Ok(Self::Asked),
            "ended" => Ok(Self::Ended),
            "device" => Ok(Self::Device),
            _ => Err(()),
        }
    }
}

/// One after it was claimed.
struct Claimed {
    approval_id: Option<String>,
    subscription_id: String,
    kind: Kind,
    attempts: i64,
}

/// Sends notices until `shutdown`: what is due now, and whatever becomes due.
pub async fn drive(engine: &Engine, shutdown: impl Future<Output = ()> + Send) {
    due::follow(engine, DUE, shutdown, || async {
        if let Err(error) = run_due(engine).await {
            tracing::warn!(%error, "notices could not be sent; it is tried again");
        }
    })
    .await;
}

/// Sends what is due, some at a time; answers how many were settled.
///
/// # Errors
/// The database's.
pub async fn run_due(engine: &Engine) -> Result<usize, storage::Error> {
    let due = engine.store.reader().await?.notices_due().await?;
    let round = due::round(due, AT_ONCE_OF_ONE, |id| async move {
        try_one(engine, &id).await.unwrap_or_else(|error| {
            tracing::error!(%error, notice = id, "a notice could not be sent");
            false
        })
    });
    Ok(round.await)
}

async fn try_one(engine: &Engine, id: &str) -> Result<bool, storage::Error> {
    let wanted = id.to_owned();
    let claimed = engine
        .store
        .write(move |tx| {
            let id = wanted.clone();
            Box::pin(async move { tx.claim_notice(&id).await })
        })
        .await?;
    let Some(claimed) = claimed else {
        return Ok(false);
    };
    let end = carry_out(engine, &claimed).await?;
    let (state, detail, next_ms) = end.settled(claimed.attempts);
    let id = id.to_owned();
    engine
        .store
        .write(move |tx| {
            let (id, detail) = (id.clone(), detail.clone());
            Box::pin(async move { tx.end_notice(&id, state, detail, next_ms).await })
        })
        .await?;
    Ok(state != "due")
}

/// What is sent, and for how long and how soon it is of use.
struct Message {
    payload: String,
    ttl_s: u32,
    urgency: Urgency,
    topic: Topic,
}

async fn carry_out(engine: &Engine, claimed: &Claimed) -> Result<End, storage::Error> {
    let given_up = |why: &str| Ok(End::GivenUp(why.to_owned()));
    let (whose, target) = match subscriptions::target(engine, &claimed.subscription_id).await {
        Ok(Some(found)) => found,
        Ok(None) => return given_up("the browser is told no more"),
        Err(SubscribeError::Storage(error)) => return Err(error),
        Err(error) => return Ok(End::GivenUp(error.to_string())),
    };
    let message = match (&claimed.approval_id, claimed.kind) {
        (None, _) | (_, Kind::Device) => of_device(),
        (Some(id), kind) => {
            let mut reader = engine.store.reader().await?;
            let approval = reader.approval(engine, id).await?;
            drop(reader);
            match approval.filter(|approval| approval.is_seen_by(&whose)) {
                None => return given_up("the request is gone"),
                Some(approval) if kind == Kind::Asked && approval.state != State::Pending => {
                    return given_up("the request has ended");
                }
                Some(approval) => of_request(kind, &approval, engine.now()),
            }
        }
    };
    let push = Push {
        endpoint: &target.endpoint,
        keys: &target.keys,
        payload: message.payload.as_bytes(),
        ttl_s: message.ttl_s,
        urgency: message.urgency,
        topic: Some(&message.topic),
    };
    let contact = &engine.settings.push_contact;
    let outcome = match send(engine, engine.keys.vapid(), contact, &push).await {
        Ok(outcome) => outcome,
        Err(error @ (SendError::Encrypt(_) | SendError::Vapid(_))) => {
            return Ok(End::GivenUp(error.to_string()));
        }
    };
    subscriptions::note(engine, &target.id, &outcome).await?;
    Ok(match outcome {
        Outcome::Delivered => End::Done,
        Outcome::Gone => End::GivenUp("the subscription is gone".to_owned()),
        Outcome::Refused { status } => End::GivenUp(format!("refused with {status}")),
        Outcome::Retry { after, why } => End::Failed(why, after),
    })
}

/// What our worker shows of a request. The words are ours; the agent chose none
/// but its name, as it is registered.
fn of_request(kind: Kind, approval: &Approval, now: i64) -> Message {
    let cut = |text: &str| text.chars().take(200).collect::<String>();
    let (agent, what) = (cut(&approval.shown.agent), cut(&approval.shown.title));
    let asked = kind == Kind::Asked;
    let title = match approval.state {
        _ if asked => format!("{agent} asks"),
        State::Pending => format!("{agent} asks"),
        State::Approved | State::Consumed => "Already approved".to_owned(),
        State::Denied => "Already denied".to_owned(),
        State::Expired => "Nobody decided in time".to_owned(),
        State::Cancelled => format!("{agent} took the request back"),
    };
    let payload = json!({
        "kind": kind.word(),
        "approval": approval.id,
        "url": format!("/approve/{}", approval.id),
        "title": title,
        "body": what,
        "open": "Look at it",
        "deny": "Deny",
        "denied": "Denied. Nothing is done.",
        "expires_at": approval.expires_at,
    });
    let left_s = (approval.expires_at - now) / 1000;
    Message {
        payload: payload.to_string(),
        ttl_s: if asked {
            u32::try_from(left_s).unwrap_or(0).max(1)
        } else {
            ENDED_TTL_S
        },
        urgency: if asked {
            Urgency::High
        } else {
            Urgency::Normal
        },
        topic: Topic::of(&approval.id),
    }
}

/// What our worker shows when a recovery code gave a device: whoever did not do
/// that has a day to remove it.
fn of_device() -> Message {
    let payload = json!({
        "kind": Kind::Device.word(),
        "url": "/devices",
        "title": "A recovery code was used",
        "body": "It set up a device, which counts in a day. If that was not you, remove it now.",
    });
    Message {
        payload: payload.to_string(),
        ttl_s: u32::try_from(HOLD_MS / 1000).unwrap_or(ENDED_TTL_S),
        urgency: Urgency::High,
        topic: Topic::of("device"),
    }
}

/// Forgets notices that were settled a week ago and browsers that were dropped
/// a month ago, at most a thousand of each; answers how many.
///
/// # Errors
/// The database's.
pub async fn sweep(engine: &Engine) -> Result<u64, storage::Error> {
    engine
        .store
        .write(move |tx| {
            Box::pin(async move {
                let now = tx.now();
                let notices = tx
                    .execute(
                        "delete from notices where id in \
                         (select id from notices where state <> 'due' and settled_at <= $1 limit 1000)",
                        vec![(now - KEPT_MS).into()],
                    )
                    .await?;
                let browsers = tx
                    .execute(
                        "delete from push_subscriptions where id in \
                         (select s.id from push_subscriptions s where s.state = 'ended' and s.ended_at <= $1 \
                         and not exists (select 1 from notices n where n.subscription_id = s.id) limit 1000)",
                        vec![(now - ENDED_KEPT_MS).into()],
                    )
                    .await?;
                Ok::<_, storage::Error>(notices + browsers)
            })
        })
        .await
}

impl Tx {
    /// Has every browser of the person told of a new request, and of the
    /// approvers that policies name.
    pub(in crate::approval) async fn notices_of_request(
        &mut self,
        engine: &Engine,
        approval: &Approval,
    ) -> Result<(), storage::Error> {
        let mut people = approval.approvers();
        people.insert(&approval.person_id);
        for person in people {
            let browsers = self.active_subscriptions(engine, person).await?;
            if !browsers.is_empty() && !self.is_muted(person, &approval.client_id).await? {
                for browser in browsers {
                    self.insert_notice(Some(&approval.id), &browser.shown.id, Kind::Asked)
                        .await?;
                }
            }
            self.channel_notices_of_request(&approval.id, person, &approval.client_id)
                .await?;
        }
        Ok(())
    }

    /// The request has ended: browsers that were told of it, or are being told
    /// just now, hear of that; the others hear of nothing.
    pub(in crate::approval) async fn notices_of_end(
        &mut self,
        approval_id: &str,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        let told = self
            .all(
                "select subscription_id from notices where approval_id = $1 and kind = 'asked' \
                 and state <> 'given_up' and attempts > 0 order by id limit 100",
                vec![approval_id.into()],
            )
            .await?;
        self.execute(
            "update notices set state = 'given_up', detail = 'the request has ended', settled_at = $2 \
             where approval_id = $1 and state = 'due'",
            vec![approval_id.into(), now.into()],
        )
        .await?;
        for row in told {
            let subscription: String = row.get("subscription_id")?;
            self.insert_notice(Some(approval_id), &subscription, Kind::Ended)
                .await?;
        }
        self.channel_notices_of_end(approval_id).await
    }

    /// A recovery code gave the person a device: every browser of theirs is told.
    pub(crate) async fn notices_of_device(
        &mut self,
        engine: &Engine,
        person_id: &str,
    ) -> Result<(), storage::Error> {
        for browser in self.active_subscriptions(engine, person_id).await? {
            self.insert_notice(None, &browser.shown.id, Kind::Device)
                .await?;
        }
        self.channel_notices_of_device(engine, person_id).await
    }

    async fn insert_notice(
        &mut self,
        approval_id: Option<&str>,
        subscription_id: &str,
        kind: Kind,
    ) -> Result<(), storage::Error> {
        let (id, now) = (self.new_id("ntc"), self.now());
        self.execute(
            "insert into notices (id, approval_id, subscription_id, kind, state, attempts, next_at, created_at) \
             values ($1, $2, $3, $4, 'due', 0, $5, $5)",
            vec![
                (&id).into(),
                approval_id.into(),
                subscription_id.into(),
                kind.word().into(),
                now.into(),
            ],
        )
        .await?;
        self.signal(None, DUE, &id);
        Ok(())
    }

    async fn notices_due(&mut self) -> Result<Vec<(String, String)>, storage::Error> {
        let now = self.now();
        let sql = "select id, subscription_id from notices where state = 'due' and next_at <= $1 \
                   order by next_at, id limit 500";
        let rows = self.all(sql, vec![now.into()]).await?;
        rows.iter()
            .map(|row| Ok((row.get("id")?, row.get("subscription_id")?)))
            .collect()
    }

    async fn claim_notice(&mut self, id: &str) -> Result<Option<Claimed>, storage::Error> {
        let now = self.now();
        let row = self
            .swap(
                "update notices set attempts = attempts + 1, next_at = $3 \
                 where id = $1 and state = 'due' and next_at <= $2 \
                 returning approval_id, subscription_id, kind, attempts",
                vec![id.into(), now.into(), (now + CLAIM_MS).into()],
            )
            .await?;
        row.map(|row| {
            Ok(Claimed {
                approval_id: row.get("approval_id")?,
                subscription_id: row.get("subscription_id")?,
                kind: row.word(TABLE, "kind")?,
                attempts: row.get("attempts")?,
            })
        })
        .transpose()
    }

    /// Settles one, or has it tried again later; what was settled meanwhile stays.
    async fn end_notice(
        &mut self,
        id: &str,
        state: &'static str,
        detail: Option<String>,
        next_ms: i64,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        let settled = (state != "due").then_some(now);
        self.execute(
            "update notices set state = $2, detail = $3, settled_at = $4, next_at = $5 \
             where id = $1 and state = 'due'",
            vec![
                id.into(),
                state.into(),
                detail.into(),
                settled.into(),
                (now + next_ms).into(),
            ],
        )
        .await?;
        Ok(())
    }
}
