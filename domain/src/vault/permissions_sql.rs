//! Rows of permissions: they decide who may do what, so each carries a MAC.

use serde::Serialize;

use super::permissions::{AccessMode, Permission, PermissionState, event};
use crate::Engine;
use crate::audit::Kind;
use crate::storage::{self, Json, Row, Tx, Value};

/// What the MAC covers: all that decides who may do what.
fn mac_bytes(permission: &Permission) -> Vec<u8> {
    serde_json::to_vec(&(
        &permission.id,
        &permission.person_id,
        &permission.client_id,
        &permission.account_id,
        permission.access_mode.word(),
        &permission.scopes,
        &permission.calls,
        permission.state.word(),
    ))
    .unwrap_or_default()
}

/// A row, its MAC checked.
pub(super) fn read(engine: &Engine, row: &Row) -> Result<Permission, storage::Error> {
    let permission = Permission {
        id: row.get("id")?,
        person_id: row.get("person_id")?,
        client_id: row.get("client_id")?,
        account_id: row.get("account_id")?,
        access_mode: row.word("permissions", "access_mode")?,
        scopes: row.json_option("permissions", "scopes")?,
        calls: row.json_option("permissions", "calls")?,
        state: row.word("permissions", "state")?,
        granted_at: row.get("granted_at")?,
    };
    let mac = row.get::<Option<Vec<u8>>>("mac")?.unwrap_or_default();
    let mac_key = row.get::<Option<String>>("mac_key")?.unwrap_or_default();
    if engine
        .keys
        .mac_holds("permissions", &mac_bytes(&permission), &mac, &mac_key)
    {
        Ok(permission)
    } else {
        Err(row.bad("permissions", "mac"))
    }
}

fn json_or_null<T: Serialize>(value: &Option<T>) -> Value {
    match value {
        Some(value) => Json(value).into(),
        None => Value::Text(None),
    }
}

impl Tx {
    pub(super) async fn permission(
        &mut self,
        engine: &Engine,
        client_id: &str,
        account_id: &str,
    ) -> Result<Option<Permission>, storage::Error> {
        self.optional(
            "select * from permissions where client_id = $1 and account_id = $2",
            vec![client_id.into(), account_id.into()],
        )
        .await?
        .map(|row| read(engine, &row))
        .transpose()
    }

    pub(super) async fn put_permission(
        &mut self,
        engine: &Engine,
        new: &Permission,
        exists: bool,
    ) -> Result<(), storage::Error> {
        let (mac, mac_key) = engine.keys.mac("permissions", &mac_bytes(new));
        let sql = if exists {
            "update permissions set person_id = $2, client_id = $3, account_id = $4, access_mode = $5, scopes = $6, \
             calls = $7, state = $8, granted_at = $9, updated_at = $9, revoked_at = null, mac = $10, mac_key = $11 where id = $1"
        } else {
            "insert into permissions (id, person_id, client_id, account_id, access_mode, scopes, calls, state, \
             granted_at, updated_at, mac, mac_key) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11)"
        };
        self.execute(
            sql,
            vec![
                (&new.id).into(),
                (&new.person_id).into(),
                (&new.client_id).into(),
                (&new.account_id).into(),
                new.access_mode.word().into(),
                json_or_null(&new.scopes),
                json_or_null(&new.calls),
                new.state.word().into(),
                new.granted_at.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn set_permission_state(
        &mut self,
        engine: &Engine,
        new: &Permission,
        was: PermissionState,
    ) -> Result<bool, storage::Error> {
        let (mac, mac_key) = engine.keys.mac("permissions", &mac_bytes(new));
        let now = self.now();
        let revoked_at = (new.state == PermissionState::Revoked).then_some(now);
        Ok(self
            .execute(
                "update permissions set state = $3, updated_at = $4, revoked_at = $5, mac = $6, mac_key = $7 \
                 where id = $1 and state = $2",
                vec![
                    (&new.id).into(),
                    was.word().into(),
                    new.state.word().into(),
                    now.into(),
                    revoked_at.into(),
                    mac.into(),
                    mac_key.into(),
                ],
            )
            .await?
            > 0)
    }

    /// Takes back every permission on an account. Answers whether one let a client have the token.
    pub(super) async fn revoke_permissions_on(
        &mut self,
        engine: &Engine,
        account_id: &str,
    ) -> Result<bool, storage::Error> {
        let rows = self
            .all(
                "select * from permissions where account_id = $1 and state <> 'revoked' limit 10000",
                vec![account_id.into()],
            )
            .await?;
        let mut released = false;
        for row in rows {
            let mut permission = read(engine, &row)?;
            let was = permission.state;
            released |= permission.access_mode == AccessMode::Release;
            permission.state = PermissionState::Revoked;
            self.set_permission_state(engine, &permission, was).await?;
            self.record(event(Kind::PermissionRevoked, &permission).data("state", "revoked"));
            self.signal(Some(&permission.person_id), "permission", &permission.id);
        }
        Ok(released)
    }
}
