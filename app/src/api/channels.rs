//! Other ways in which a person is told, as pages show them.

use serde::{Deserialize, Serialize};

use super::{Stamp, Status};

/// One way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRow {
    /// Its id.
    pub id: String,
    /// What it is.
    pub name: String,
    /// Where it leads.
    pub target: String,
    /// How the last delivery went.
    pub status: Status,
    /// Since when.
    pub since: Stamp,
}

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRow {
    /// What was told.
    pub what: String,
    /// The request it is about.
    pub href: Option<String>,
    /// By which way.
    pub by: String,
    /// What became of it.
    pub status: Status,
    /// What went wrong.
    pub detail: Option<String>,
    /// When.
    pub at: Stamp,
}

/// What the page of devices shows of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelsPart {
    /// In the order in which they are tried.
    pub channels: Vec<ChannelRow>,
    /// The newest deliveries.
    pub deliveries: Vec<DeliveryRow>,
    /// The address that mail would go to, if the person could add it.
    pub mail_to: Option<String>,
    /// Whether the form of a webhook stands open.
    pub webhook_open: bool,
}

#[cfg(feature = "ssr")]
pub(crate) mod ssr {
    use domain::approval::channels::{self, Delivery, Kind, NoticeChannel};

    use super::super::{Problem, Seen, Status, Tone, stamp};
    use super::{ChannelRow, ChannelsPart, DeliveryRow};
    use crate::words::t;

    /// `address` is the person's own, `webhook_open` whether its form was just posted.
    pub async fn part(
        seen: &Seen,
        address: &str,
        webhook_open: bool,
    ) -> Result<ChannelsPart, Problem> {
        let (engine, person) = (&seen.engine, &seen.viewer.person_id);
        let all = channels::list(engine, person).await?;
        let log = channels::deliveries(engine, person).await?;
        let now = engine.now();
        let has_mail = all.iter().any(|channel| channel.kind == Kind::Mail);
        let can_mail = engine.settings.mail.is_some() && !has_mail;
        Ok(ChannelsPart {
            mail_to: can_mail.then(|| address.to_owned()),
            webhook_open,
            deliveries: log.iter().map(|one| delivery(one, &all, now)).collect(),
            channels: all.iter().map(|channel| row(channel, &log, now)).collect(),
        })
    }

    fn name(kind: Kind) -> String {
        match kind {
            Kind::Mail => t("channel-mail"),
            Kind::Webhook => t("channel-webhook"),
        }
    }

    fn row(channel: &NoticeChannel, log: &[Delivery], now: i64) -> ChannelRow {
        let last = log.iter().find(|one| {
            one.channel_id == channel.id
                && matches!(one.state.as_str(), "done" | "given_up" | "due")
        });
        ChannelRow {
            id: channel.id.clone(),
            name: name(channel.kind),
            target: channel.shown_target(),
            status: match last {
                Some(one) => state(one),
                None => Status::new(Tone::Quiet, t("channel-unused")),
            },
            since: stamp(now, channel.created_at),
        }
    }

    fn state(one: &Delivery) -> Status {
        match (one.state.as_str(), one.attempts) {
            ("done", _) => Status::new(Tone::Good, t("delivery-done")),
            ("given_up", 0) | ("spared", _) => Status::new(Tone::Quiet, t("delivery-spared")),
            ("given_up", _) => Status::new(Tone::Bad, t("delivery-given-up")),
            ("due", attempts) if attempts > 0 => Status::new(Tone::Wait, t("delivery-again")),
            _ => Status::new(Tone::Wait, t("delivery-waiting")),
        }
    }

    fn delivery(one: &Delivery, all: &[NoticeChannel], now: i64) -> DeliveryRow {
        let channel = all.iter().find(|channel| channel.id == one.channel_id);
        DeliveryRow {
            what: match one.kind.as_str() {
                "asked" => t("delivery-asked"),
                "ended" => t("delivery-ended"),
                "device" => t("delivery-device"),
                _ => t("delivery-test"),
            },
            href: one.approval_id.as_ref().map(|id| format!("/approve/{id}")),
            by: channel.map_or_else(|| t("channel-removed"), |channel| name(channel.kind)),
            status: state(one),
            detail: one.detail.clone(),
            at: stamp(now, one.created_at),
        }
    }
}
