//! The SQL of subscriptions.

use super::subscriptions::{Subscription, TABLE, host};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::rotation::{WrappedRows, wrapped_rows};
use crate::storage::{self, Row, Tx};
use crate::vault::envelope::key_row;

/// Rows with a data key, for a rotation of what wraps them.
pub(crate) const WRAPPED: WrappedRows =
    wrapped_rows!("push_subscriptions", "id", "data_key", |id| key_row(
        TABLE, id
    ));

/// A row, its MAC checked.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) shown: Subscription,
    pub(super) endpoint: String,
    pub(super) endpoint_hash: Option<Vec<u8>>,
    pub(super) p256dh: Vec<u8>,
    pub(super) auth_sealed: Option<Vec<u8>>,
    pub(super) wrapped: Option<Vec<u8>>,
    pub(super) kek_id: Option<String>,
    pub(super) ended_at: Option<i64>,
}

impl Kept {
    fn covered(&self) -> Vec<u8> {
        use evidence::digest::base64url;
        let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| base64url(bytes));
        let time = |at: Option<i64>| at.map(|at| at.to_string());
        // The wrapped data key is left out: it changes when the key-encryption key does, and opens nothing else.
        serde_json::json!([
            self.shown.id,
            self.shown.person_id,
            self.endpoint,
            bytes(&self.endpoint_hash),
            base64url(&self.p256dh),
            bytes(&self.auth_sealed),
            self.shown.name,
            self.shown.failures,
            self.shown.created_at.to_string(),
            time(self.shown.last_used_at),
            time(self.ended_at),
        ])
        .to_string()
        .into_bytes()
    }

    fn from_row(engine: &Engine, row: &Row) -> Result<Self, storage::Error> {
        let endpoint: String = row.get("endpoint")?;
        let kept = Self {
            shown: Subscription {
                id: row.get("id")?,
                person_id: row.get("person_id")?,
                name: row.get("name")?,
                host: host(&endpoint),
                created_at: row.get("created_at")?,
                last_used_at: row.get("last_used_at")?,
                failures: row.get("failures")?,
            },
            endpoint,
            endpoint_hash: row.get("endpoint_hash")?,
            p256dh: row.get("p256dh")?,
            auth_sealed: row.get("auth_sealed")?,
            wrapped: row.get("data_key")?,
            kek_id: row.get("kek_id")?,
            ended_at: row.get("ended_at")?,
        };
        // The state is told by what the MAC covers.
        if (row.get::<String>("state")? == "active") != kept.ended_at.is_none() {
            return Err(row.bad(TABLE, "state"));
        }
        let (mac, key): (Vec<u8>, String) = (row.get("mac")?, row.get("mac_key")?);
        if engine.keys.mac_holds(TABLE, &kept.covered(), &mac, &key) {
            Ok(kept)
        } else {
            Err(row.bad(TABLE, "mac"))
        }
    }

    pub(super) fn event(&self, kind: Kind) -> Event {
        Event::new(kind)
            .person(&self.shown.person_id)
            .data("subscription", self.shown.id.as_str())
            .data("host", self.shown.host.as_str())
    }
}

impl Tx {
    pub(super) async fn active_subscriptions(
        &mut self,
        engine: &Engine,
        person_id: &str,
    ) -> Result<Vec<Kept>, storage::Error> {
        let sql = "select * from push_subscriptions where person_id = $1 and state = 'active' \
                   order by created_at, id limit 100";
        let rows = self.all(sql, vec![person_id.into()]).await?;
        rows.iter().map(|row| Kept::from_row(engine, row)).collect()
    }

    /// The active subscription, read only.
    pub(super) async fn active_subscription(
        &mut self,
        engine: &Engine,
        id: &str,
    ) -> Result<Option<Kept>, storage::Error> {
        let sql = "select * from push_subscriptions where id = $1 and state = 'active'";
        let row = self.optional(sql, vec![id.into()]).await?;
        row.map(|row| Kept::from_row(engine, &row)).transpose()
    }

    /// The active subscription, and nobody else changes it until this write ends.
    pub(super) async fn hold_subscription(
        &mut self,
        engine: &Engine,
        id: &str,
    ) -> Result<Option<Kept>, storage::Error> {
        let sql = "update push_subscriptions set state = state where id = $1 and state = 'active' returning *";
        let row = self.swap(sql, vec![id.into()]).await?;
        row.map(|row| Kept::from_row(engine, &row)).transpose()
    }

    /// As [`Tx::hold_subscription`], by its endpoint.
    pub(super) async fn hold_subscription_at(
        &mut self,
        engine: &Engine,
        endpoint_hash: [u8; 32],
    ) -> Result<Option<Kept>, storage::Error> {
        let sql =
            "update push_subscriptions set state = state where endpoint_hash = $1 returning *";
        let row = self.swap(sql, vec![endpoint_hash.into()]).await?;
        row.map(|row| Kept::from_row(engine, &row)).transpose()
    }

    pub(super) async fn insert_subscription(
        &mut self,
        engine: &Engine,
        kept: &Kept,
    ) -> Result<(), storage::Error> {
        let (mac, mac_key) = engine.keys.mac(TABLE, &kept.covered());
        self.execute(
            "insert into push_subscriptions (id, person_id, endpoint, endpoint_hash, p256dh, auth_sealed, data_key, \
             kek_id, name, state, failures, created_at, mac, mac_key) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'active', 0, $10, $11, $12)",
            vec![
                (&kept.shown.id).into(),
                (&kept.shown.person_id).into(),
                (&kept.endpoint).into(),
                (&kept.endpoint_hash).into(),
                (&kept.p256dh).into(),
                (&kept.auth_sealed).into(),
                (&kept.wrapped).into(),
                kept.kek_id.clone().into(),
                (&kept.shown.name).into(),
                kept.shown.created_at.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn update_subscription(
        &mut self,
        engine: &Engine,
        kept: &Kept,
    ) -> Result<(), storage::Error> {
        let (mac, mac_key) = engine.keys.mac(TABLE, &kept.covered());
        self.execute(
            "update push_subscriptions set failures = $2, last_used_at = $3, mac = $4, mac_key = $5 where id = $1",
            vec![
                (&kept.shown.id).into(),
                kept.shown.failures.into(),
                kept.shown.last_used_at.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Ends a subscription: its keys and its path at the push service go.
    pub(super) async fn end_subscription(
        &mut self,
        engine: &Engine,
        mut kept: Kept,
        reason: &str,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        // RFC 8030 §8.3: who knows the address can send to it.
        kept.endpoint = format!("https://{}/", kept.shown.host);
        (kept.endpoint_hash, kept.auth_sealed) = (None, None);
        kept.ended_at = Some(now);
        let (mac, mac_key) = engine.keys.mac(TABLE, &kept.covered());
        self.execute(
            "update push_subscriptions set state = 'ended', endpoint = $2, endpoint_hash = null, auth_sealed = null, \
             data_key = null, kek_id = null, failures = $3, ended_at = $4, mac = $5, mac_key = $6 where id = $1",
            vec![
                (&kept.shown.id).into(),
                (&kept.endpoint).into(),
                kept.shown.failures.into(),
                now.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        self.record(kept.event(Kind::PushUnsubscribed).data("reason", reason));
        Ok(())
    }
}
