//! Telling people by their channels: what goes out, and when it is tried again.

use std::future::Future;

use super::sql::{Claimed, DUE};
use super::{Kind, NoticeChannel, address_of, mail, webhook};
use crate::Engine;
use crate::approval::read::Approval;
use crate::approval::state::State;
use crate::due::{self, CLAIM_MS, End};
use crate::storage;

/// As many go to one channel at once.
const AT_ONCE_OF_ONE: usize = 4;
/// How long settled deliveries are kept, milliseconds: the delivery log.
const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// How long channels that ended are kept, milliseconds.
const ENDED_KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// What a message says.
pub(super) enum Says<'a> {
    /// Somebody asks.
    Asked(&'a Approval),
    /// It was decided, or ended otherwise.
    Ended(&'a Approval),
    /// A recovery code gave the person a device.
    Device,
    /// Nothing but that it arrives.
    Test,
}

/// Sends until `shutdown`: what is due now, and whatever becomes due.
pub async fn drive(engine: &Engine, shutdown: impl Future<Output = ()> + Send) {
    due::follow(engine, DUE, shutdown, || async {
        if let Err(error) = run_due(engine).await {
            tracing::warn!(%error, "people could not be told; it is tried again");
        }
    })
    .await;
}

/// Sends what is due, some at a time; answers how many were settled.
///
/// # Errors
/// The database's.
pub async fn run_due(engine: &Engine) -> Result<usize, storage::Error> {
    let due = engine.store.reader().await?.channel_notices_due().await?;
    let round = due::round(due, AT_ONCE_OF_ONE, |id| async move {
        try_one(engine, &id).await.unwrap_or_else(|error| {
            tracing::error!(%error, notice = id, "a person could not be told");
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
            Box::pin(async move { tx.claim_channel_notice(&id, CLAIM_MS).await })
        })
        .await?;
    let Some(claimed) = claimed else {
        return Ok(false);
    };
    let end = carry_out(engine, id, &claimed).await?;
    let (state, detail, next_ms) = end.settled(claimed.attempts);
    let id = id.to_owned();
    engine
        .store
        .write(move |tx| {
            let (id, detail) = (id.clone(), detail.clone());
            Box::pin(async move { tx.end_channel_notice(&id, state, detail, next_ms).await })
        })
        .await?;
    Ok(state != "due")
}

async fn carry_out(engine: &Engine, id: &str, claimed: &Claimed) -> Result<End, storage::Error> {
    let given_up = |why: &str| Ok(End::GivenUp(why.to_owned()));
    let mut reader = engine.store.reader().await?;
    let Some(kept) = reader.active_channel(engine, &claimed.channel_id).await? else {
        return given_up("the way was removed");
    };
    let channel = kept.shown;
    let approval = match &claimed.approval_id {
        Some(id) => reader.approval(engine, id).await?,
        None => None,
    };
    drop(reader);
    let approval = approval.filter(|approval| approval.is_seen_by(&channel.person_id));
    let says = match (claimed.kind.as_str(), &approval) {
        ("device", _) => Says::Device,
        ("test", _) => Says::Test,
        (_, None) => return given_up("the request is gone"),
        ("ended", Some(approval)) => Says::Ended(approval),
        (_, Some(approval)) if approval.state != State::Pending => {
            return given_up("the request has ended");
        }
        (_, Some(approval)) if approval.expires_at <= engine.now() => {
            return given_up("the request has expired");
        }
        (_, Some(approval)) => Says::Asked(approval),
    };
    match channel.kind {
        Kind::Webhook => webhook::deliver(engine, id, &channel, &says).await,
        Kind::Mail => mail_to(engine, id, &channel, &says).await,
    }
}

async fn mail_to(
    engine: &Engine,
    id: &str,
    channel: &NoticeChannel,
    says: &Says<'_>,
) -> Result<End, storage::Error> {
    // An address that the person no longer has is somebody else's by now.
    if address_of(engine, &channel.person_id).await?.as_deref() != Some(&channel.target) {
        return Ok(End::GivenUp("this is no longer your address".to_owned()));
    }
    Ok(mail::deliver(engine, id, &channel.target, says).await)
}

/// Forgets deliveries that were settled a week ago and channels that were
/// removed a month ago, at most a thousand of each; answers how many.
///
/// # Errors
/// The database's.
pub async fn sweep(engine: &Engine) -> Result<u64, storage::Error> {
    engine
        .store
        .write(move |tx| {
            Box::pin(async move {
                let now = tx.now();
                tx.sweep_channels(now - KEPT_MS, now - ENDED_KEPT_MS).await
            })
        })
        .await
}
