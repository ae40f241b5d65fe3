//! Devices as pages show them.

use serde::{Deserialize, Serialize};

use super::channels::ChannelsPart;
use super::{Stamp, Status};

/// One device: a passkey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// Its id.
    pub id: String,
    /// As the person calls it.
    pub name: String,
    /// Whether it counts.
    pub status: Status,
    /// Where its key lies.
    pub kind: String,
    /// Since when.
    pub added: Stamp,
    /// When it last signed.
    pub used: Option<Stamp>,
    /// Until when it is on hold.
    pub hold: Option<Stamp>,
}

/// The page of devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicesPage {
    /// Those that were not removed.
    pub devices: Vec<DeviceRow>,
    /// Whether one of them counts now, and can confirm another.
    pub can_confirm: bool,
    /// Whether the person ever had one.
    pub had_one: bool,
    /// How many recovery codes are left.
    pub codes_left: usize,
    /// Whether this place has passkeys at all.
    pub possible: bool,
    /// Browsers that are told of requests.
    pub browsers: Vec<BrowserRow>,
    /// The key that a browser subscribes with (`applicationServerKey`, base64url).
    pub push_key: Option<String>,
    /// Other ways.
    pub channels: ChannelsPart,
}

/// One browser that is told of requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserRow {
    /// The subscription's id.
    pub id: String,
    /// As the person calls it.
    pub name: String,
    /// Who brings the notices.
    pub host: String,
    /// Since when.
    pub since: Stamp,
    /// When one was last taken.
    pub used: Option<Stamp>,
    /// Whether the last ones failed.
    pub failing: bool,
}

#[cfg(feature = "ssr")]
pub(crate) mod ssr {
    use domain::approval::push::{subscriptions, vapid};
    use domain::identity::{self, passkeys};

    use super::super::channels::ssr as channels;
    use super::super::{Problem, Seen, Status, Tone, stamp};
    use super::{BrowserRow, DeviceRow, DevicesPage};
    use crate::words::t;

    pub async fn page(seen: &Seen, webhook_open: bool) -> Result<DevicesPage, Problem> {
        let (engine, person) = (&seen.engine, &seen.viewer.person_id);
        let all = passkeys::list(engine, person).await?;
        let now = engine.now();
        let who = identity::person(engine, person).await?;
        let address = who.as_ref().map(|who| who.email.clone());
        Ok(DevicesPage {
            channels: channels::part(seen, &address.unwrap_or_default(), webhook_open).await?,
            can_confirm: all.iter().any(|passkey| passkey.counts(now)),
            had_one: who.is_some_and(|who| who.passkeys_since.is_some()),
            codes_left: passkeys::codes_left(engine, person).await?,
            possible: passkeys::relying_party(engine).is_ok(),
            browsers: subscriptions::list(engine, person)
                .await?
                .into_iter()
                .map(|browser| BrowserRow {
                    id: browser.id,
                    name: browser.name,
                    host: browser.host,
                    since: stamp(now, browser.created_at),
                    used: browser.last_used_at.map(|at| stamp(now, at)),
                    failing: browser.failures > 0,
                })
                .collect(),
            push_key: vapid::application_server_key(&engine.keys.vapid().jwk).ok(),
            devices: all.iter().map(|passkey| row(passkey, now)).collect(),
        })
    }

    fn row(passkey: &passkeys::Passkey, now: i64) -> DeviceRow {
        let hold = passkey.hold_until.filter(|until| *until > now);
        DeviceRow {
            id: passkey.id.clone(),
            name: passkey.name.clone(),
            status: if hold.is_some() {
                Status::new(Tone::Wait, t("device-on-hold"))
            } else {
                Status::new(Tone::Good, t("device-ready"))
            },
            kind: if passkey.device_bound {
                t("device-bound")
            } else {
                t("device-synced")
            },
            added: stamp(now, passkey.created_at),
            used: passkey.last_used_at.map(|at| stamp(now, at)),
            hold: hold.map(|until| stamp(now, until)),
        }
    }
}
