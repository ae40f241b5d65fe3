//! Other ways than a browser in which a person is told that an agent asks: mail
//! to their own address, and a webhook of theirs, by which any app can be the
//! device that buzzes.
//!
//! - [`deliver`]: what goes out, when it is tried again, and who is next.
//! - [`webhook`]: the signed message and its one delivery.
//! - `mail`: the same over SMTP.
//!
//! What always holds here: channels are told in the person's order, the next
//! when one gives up; a message says what, who asks and which request, never a
//! credential, and its link needs a sign-in; opening it decides nothing. A
//! channel's row carries a MAC: one that sends elsewhere is refused.

pub mod deliver;
mod mail;
mod sql;
pub mod webhook;

pub use mail::{BadServer, MailServer};

use url::Url;

use crate::audit::Kind as Event;
use crate::identity::{self, Person};
use crate::secret::Secret;
use crate::storage;
use crate::{Engine, ids};
use sql::Kept;

const TABLE: &str = "notice_channels";
/// How many channels of one person there may be.
pub const MOST: usize = 5;
/// The longest address of a webhook, in bytes.
const LONGEST_URL: usize = 2048;
/// How many deliveries a page shows.
const SHOWN: i64 = 20;

/// How a channel brings a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A mail to the person's own address.
    Mail,
    /// A signed post to an address of the person's.
    Webhook,
}

impl Kind {
    /// The word in rows.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Mail, Self::Webhook]
            .into_iter()
            .find(|kind| kind.word() == word)
            .ok_or(())
    }
}

/// One way in which a person is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeChannel {
    /// `nch_…`
    pub id: String,
    /// Whose it is.
    pub person_id: String,
    /// How.
    pub kind: Kind,
    /// Where to: an address of mail, or of a webhook.
    pub target: String,
    /// Since when, Unix milliseconds.
    pub created_at: i64,
}

impl NoticeChannel {
    /// What pages show of where it leads: a webhook's path may be a secret.
    #[must_use]
    pub fn shown_target(&self) -> String {
        match self.kind {
            Kind::Mail => self.target.clone(),
            Kind::Webhook => Url::parse(&self.target)
                .ok()
                .and_then(|url| url.host_str().map(str::to_owned))
                .unwrap_or_default(),
        }
    }
}

/// One delivery, for the person's log of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The channel's id.
    pub channel_id: String,
    /// The request it is about, if it is about one.
    pub approval_id: Option<String>,
    /// `asked`, `ended`, `device` or `test`.
    pub kind: String,
    /// `due`, `waiting`, `done`, `given_up` or `spared`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// What went wrong last.
    pub detail: Option<String>,
    /// Unix milliseconds.
    pub created_at: i64,
}

/// Why a channel is not set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The address is none that may be called.
    #[error("the address must begin with https and name a host")]
    Address,
    /// This deployment sends no mail.
    #[error("this Attorn sends no mail")]
    NoMail,
    /// The person has it already.
    #[error("you are told in this way already")]
    Known,
    /// The person has as many as they may.
    #[error("you have {MOST} other ways already; remove one first")]
    TooMany,
    /// No such channel of this person.
    #[error("there is no such way of yours")]
    NotFound,
}

/// A person's channels, in the order in which they are tried.
///
/// # Errors
/// The database's.
pub async fn list(engine: &Engine, person_id: &str) -> Result<Vec<NoticeChannel>, storage::Error> {
    let mut reader = engine.store.reader().await?;
    let all = reader.active_channels(engine, person_id).await?;
    Ok(all.into_iter().map(|kept| kept.shown).collect())
}

/// A person's newest deliveries, at most 20.
///
/// # Errors
/// The database's.
pub async fn deliveries(engine: &Engine, person_id: &str) -> Result<Vec<Delivery>, storage::Error> {
    let mut reader = engine.store.reader().await?;
    reader.channel_deliveries(person_id, SHOWN).await
}

/// Has a person told by mail, at the address they are known by.
///
/// # Errors
/// See [`ChannelError`].
pub async fn add_mail(engine: &Engine, person: &Person) -> Result<NoticeChannel, ChannelError> {
    if engine.settings.mail.is_none() {
        return Err(ChannelError::NoMail);
    }
    add(engine, &person.id, Kind::Mail, person.email.clone()).await
}

/// Has a person told at an address of their own. Its deliveries are signed with
/// what [`webhook::secret`] answers.
///
/// # Errors
/// See [`ChannelError`].
pub async fn add_webhook(
    engine: &Engine,
    person_id: &str,
    address: &str,
) -> Result<(NoticeChannel, Secret<String>), ChannelError> {
    // Whether it may be called at all, the guarded client judges at each call.
    let url = Url::parse(address.trim()).map_err(|_| ChannelError::Address)?;
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let callable = url.scheme() == "https" || url.scheme() == "http" && loopback;
    if !callable
        || !url.has_host()
        || !url.username().is_empty()
        || url.password().is_some()
        || url.fragment().is_some()
        || url.as_str().len() > LONGEST_URL
    {
        return Err(ChannelError::Address);
    }
    let added = add(engine, person_id, Kind::Webhook, url.into()).await?;
    let secret = webhook::secret(engine, &added.id);
    Ok((added, secret))
}

async fn add(
    engine: &Engine,
    person_id: &str,
    kind: Kind,
    target: String,
) -> Result<NoticeChannel, ChannelError> {
    let new = NoticeChannel {
        id: ids::id("nch", engine.now(), &*engine.rng),
        person_id: person_id.to_owned(),
        kind,
        target,
        created_at: engine.now(),
    };
    let within = engine.clone();
    engine
        .store
        .write(move |tx| {
            let (engine, new) = (within.clone(), new.clone());
            Box::pin(async move {
                let all = tx.active_channels(&engine, &new.person_id).await?;
                if all.len() >= MOST {
                    return Err(ChannelError::TooMany);
                }
                let same = |kept: &Kept| kept.shown.kind == kind && kept.shown.target == new.target;
                if all.iter().any(same) {
                    return Err(ChannelError::Known);
                }
                let rank = all.last().map_or(0, |kept| kept.rank + 1);
                let kept = Kept {
                    shown: new,
                    rank,
                    ended_at: None,
                };
                tx.insert_channel(&engine, &kept).await?;
                tx.record(kept.event(Event::NoticeChannelAdded));
                Ok(kept.shown)
            })
        })
        .await
}

/// Has a person no longer told in one way. What waits for it goes to the next.
///
/// # Errors
/// [`ChannelError::NotFound`].
pub async fn remove(engine: &Engine, person_id: &str, id: &str) -> Result<(), ChannelError> {
    let (within, person, id) = (engine.clone(), person_id.to_owned(), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, person, id) = (within.clone(), person.clone(), id.clone());
            Box::pin(async move {
                let kept = own(tx.active_channels(&engine, &person).await?, &id)?;
                tx.record(kept.event(Event::NoticeChannelRemoved));
                tx.end_channel(&engine, kept).await?;
                Ok(())
            })
        })
        .await
}

/// Has one channel tried before the one that stands above it.
///
/// # Errors
/// [`ChannelError::NotFound`].
pub async fn raise(engine: &Engine, person_id: &str, id: &str) -> Result<(), ChannelError> {
    let (within, person, id) = (engine.clone(), person_id.to_owned(), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, person, id) = (within.clone(), person.clone(), id.clone());
            Box::pin(async move {
                let all = tx.active_channels(&engine, &person).await?;
                let at = all.iter().position(|kept| kept.shown.id == id);
                let at = at.ok_or(ChannelError::NotFound)?;
                if at > 0 {
                    let (above, this) = (&all[at - 1], &all[at]);
                    tx.rank_channel(&this.shown.id, above.rank).await?;
                    tx.rank_channel(&above.shown.id, this.rank).await?;
                }
                Ok(())
            })
        })
        .await
}

/// Sends a message of no request to one channel: the person sees whether it arrives.
///
/// # Errors
/// [`ChannelError::NotFound`].
pub async fn test(engine: &Engine, person_id: &str, id: &str) -> Result<(), ChannelError> {
    let (within, person, id) = (engine.clone(), person_id.to_owned(), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (engine, person, id) = (within.clone(), person.clone(), id.clone());
            Box::pin(async move {
                let kept = own(tx.active_channels(&engine, &person).await?, &id)?;
                tx.insert_channel_notice(None, &kept.shown.id, "test")
                    .await?;
                Ok(())
            })
        })
        .await
}

fn own(all: Vec<Kept>, id: &str) -> Result<Kept, ChannelError> {
    all.into_iter()
        .find(|kept| kept.shown.id == id)
        .ok_or(ChannelError::NotFound)
}

/// The address of mail that a channel may write to now: the person's own.
async fn address_of(engine: &Engine, person_id: &str) -> Result<Option<String>, storage::Error> {
    match identity::person(engine, person_id).await {
        Ok(person) => Ok(person.map(|person| person.email)),
        Err(identity::Error::Storage(error)) => Err(error),
        Err(error) => {
            tracing::warn!(%error, "a person could not be looked up");
            Ok(None)
        }
    }
}
