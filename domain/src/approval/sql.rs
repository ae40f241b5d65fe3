//! The SQL of approvals, decisions and approved calls.

use evidence::digest::{base64url, sha256};
use evidence::json::canonical;
use serde_json::{Value as JsonValue, json};

use super::execute::CallEnd;
use super::memory::MOVED;
use super::read::{Approval, CallState, DecisionMade, Filter, Outcome};
use super::state::State;
use crate::Engine;
use crate::oauth::Delivery;
use crate::storage::{Error, Json, Row, Tx, Value};

const TABLE: &str = "approvals";
const DECISIONS: &str = "decisions";

/// Every column, and what became of the call.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select a.id, a.auth_req_hash, a.client_id, a.person_id, a.account_id, a.run_id, a.scopes, a.audience, \
             a.details, a.details_type, a.exact_call, a.call_digest, a.shown, a.binding_message, a.nonce, a.needs_passkey, a.in_force, a.delivery, \
             a.state, a.state_reason, a.interval_seconds, a.created_at, a.expires_at, a.decided_at, a.consumed_at, \
             a.mac, a.mac_key, c.state as call_state, c.started_at as call_started_at, \
             c.finished_at as call_finished_at, c.status as call_status, c.reason as call_reason \
             from approvals a left join approved_calls c on c.approval_id = a.id ",
            $rest
        )
    };
}

/// What the MAC of a row covers: every column of it.
fn covered(approval: &Approval, auth_req_hash: &[u8], delivery: Delivery) -> Vec<u8> {
    let time = |at: Option<i64>| at.map(|at| at.to_string());
    let mut covered = json!({
        "id": approval.id,
        "auth_req_hash": base64url(auth_req_hash),
        "client": approval.client_id,
        "person": approval.person_id,
        "account": approval.account_id,
        "run": approval.run_id,
        "scopes": approval.scopes,
        "audience": approval.audience,
        "details": approval.details,
        "details_type": approval.details_type,
        "call": approval.call.as_ref().map(|call| base64url(&call.digest())),
        "call_digest": approval.call_digest.as_ref().map(|digest| base64url(digest)),
        "shown": base64url(&approval.shown.digest()),
        "binding_message": approval.binding_message,
        "nonce": base64url(&approval.nonce),
        "delivery": delivery.word(),
        "state": approval.state.word(),
        "state_reason": approval.state_reason,
        "interval": approval.interval_s,
        "created_at": approval.created_at.to_string(),
        "expires_at": approval.expires_at.to_string(),
        "decided_at": time(approval.decided_at),
        "consumed_at": time(approval.consumed_at),
    });
    // Only where it holds: rows from before it existed stay readable.
    if approval.needs_passkey {
        covered["needs_passkey"] = json!(true);
    }
    if !approval.in_force.is_nothing() {
        covered["in_force"] = json!(approval.in_force);
    }
    canonical(&covered)
}

fn in_force(approval: &Approval) -> Value {
    let in_force = &approval.in_force;
    if in_force.is_nothing() {
        Value::Text(None)
    } else {
        Json(in_force).into()
    }
}

/// What the MAC of a decision covers: every column of it, the evidence by its digest.
fn decision_covered(approval_id: &str, made: &DecisionMade) -> Vec<u8> {
    let mut covered = json!({
        "id": made.id,
        "approval": approval_id,
        "person": made.person_id,
        "decision": made.decision.word(),
        "channel": made.channel.word(),
        "address": made.address,
        "user_agent": made.user_agent,
        "decided_at": made.decided_at.to_string(),
    });
    if let Some(evidence) = &made.evidence {
        covered["evidence"] = json!(base64url(&sha256(evidence.as_bytes())));
    }
    canonical(&covered)
}

fn decision_from_row(engine: &Engine, approval_id: &str, row: &Row) -> Result<DecisionMade, Error> {
    let made = DecisionMade {
        id: row.get("id")?,
        person_id: row.get("person_id")?,
        decision: row.word(DECISIONS, "decision")?,
        channel: row.word(DECISIONS, "channel")?,
        address: row.get("address")?,
        user_agent: row.get("user_agent")?,
        evidence: row.get("evidence")?,
        decided_at: row.get("decided_at")?,
    };
    let mac: Option<Vec<u8>> = row.get("mac")?;
    let key: Option<String> = row.get("mac_key")?;
    let covered = decision_covered(approval_id, &made);
    if mac
        .zip(key)
        .is_some_and(|(mac, key)| engine.keys.mac_holds(DECISIONS, &covered, &mac, &key))
    {
        Ok(made)
    } else {
        Err(row.bad(DECISIONS, "mac"))
    }
}

/// A row as it lies there, its MAC checked.
pub(super) struct Kept {
    pub(super) approval: Approval,
    auth_req_hash: Vec<u8>,
    delivery: Delivery,
}

impl Kept {
    pub(super) fn new(approval: Approval, auth_req_hash: &[u8; 32], delivery: Delivery) -> Self {
        Self {
            approval,
            auth_req_hash: auth_req_hash.to_vec(),
            delivery,
        }
    }

    /// Whether the client is told when it ends.
    pub(super) fn is_told(&self) -> bool {
        self.delivery != Delivery::Poll
    }

    fn mac(&self, engine: &Engine) -> ([u8; 32], String) {
        let covered = covered(&self.approval, &self.auth_req_hash, self.delivery);
        engine.keys.mac(TABLE, &covered)
    }

    fn from_row(engine: &Engine, row: &Row) -> Result<Self, Error> {
        let nonce: Vec<u8> = row.get("nonce")?;
        let call_digest = row
            .get::<Option<Vec<u8>>>("call_digest")?
            .map(|digest| digest.try_into().map_err(|_| row.bad(TABLE, "call_digest")))
            .transpose()?;
        let outcome = row
            .get::<Option<String>>("call_state")?
            .map(|word| {
                Ok::<_, Error>(Outcome {
                    state: word
                        .parse::<CallState>()
                        .map_err(|()| row.bad("approved_calls", "state"))?,
                    started_at: row.get("call_started_at")?,
                    finished_at: row.get("call_finished_at")?,
                    status: row.get("call_status")?,
                    reason: row.get("call_reason")?,
                })
            })
            .transpose()?;
        let approval = Approval {
            id: row.get("id")?,
            client_id: row.get("client_id")?,
            person_id: row.get("person_id")?,
            account_id: row.get("account_id")?,
            run_id: row.get("run_id")?,
            scopes: row.json(TABLE, "scopes")?,
            audience: row.get("audience")?,
            details: row.json::<JsonValue>(TABLE, "details")?,
            details_type: row.get("details_type")?,
            call: row.json_option(TABLE, "exact_call")?,
            call_digest,
            shown: row.json(TABLE, "shown")?,
            binding_message: row.get("binding_message")?,
            nonce: nonce.try_into().map_err(|_| row.bad(TABLE, "nonce"))?,
            needs_passkey: row.get("needs_passkey")?,
            in_force: row.json_option(TABLE, "in_force")?.unwrap_or_default(),
            state: row.word(TABLE, "state")?,
            state_reason: row.get("state_reason")?,
            interval_s: row.get("interval_seconds")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            decided_at: row.get("decided_at")?,
            consumed_at: row.get("consumed_at")?,
            outcome,
        };
        let kept = Self {
            approval,
            auth_req_hash: row.get("auth_req_hash")?,
            delivery: row.word(TABLE, "delivery")?,
        };
        let covered = covered(&kept.approval, &kept.auth_req_hash, kept.delivery);
        let mac: Option<Vec<u8>> = row.get("mac")?;
        let key: Option<String> = row.get("mac_key")?;
        let holds = mac
            .zip(key)
            .is_some_and(|(mac, key)| engine.keys.mac_holds(TABLE, &covered, &mac, &key));
        if !holds {
            return Err(row.bad(TABLE, "mac"));
        }
        // A digest that is not of this call would let the page and the proxy differ.
        let digest = kept.approval.call.as_ref().map(super::ExactCall::digest);
        if digest != kept.approval.call_digest {
            return Err(row.bad(TABLE, "call_digest"));
        }
        Ok(kept)
    }

    /// As the world sees it: a pending one whose time is up is expired.
    fn seen_at(self, now: i64) -> Approval {
        let mut approval = self.approval;
        if approval.state == State::Pending && approval.expires_at <= now {
            approval.state = State::Expired;
        }
        approval
    }
}

impl Tx {
    async fn kept(
        &mut self,
        engine: &Engine,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Option<Kept>, Error> {
        let row = self.optional(sql, args).await?;
        row.map(|row| Kept::from_row(engine, &row)).transpose()
    }

    /// The row as it lies there, for a verb that changes it.
    pub(super) async fn approval_kept(
        &mut self,
        engine: &Engine,
        id: &str,
    ) -> Result<Option<Kept>, Error> {
        self.kept(engine, select!("where a.id = $1"), vec![id.into()])
            .await
    }

    pub(super) async fn approval_kept_by_auth_req(
        &mut self,
        engine: &Engine,
        hash: &[u8; 32],
    ) -> Result<Option<Kept>, Error> {
        self.kept(
            engine,
            select!("where a.auth_req_hash = $1"),
            vec![hash.into()],
        )
        .await
    }

    pub(super) async fn approval(
        &mut self,
        engine: &Engine,
        id: &str,
    ) -> Result<Option<Approval>, Error> {
        let now = self.now();
        let kept = self.approval_kept(engine, id).await?;
        Ok(kept.map(|kept| kept.seen_at(now)))
    }

    pub(super) async fn approval_by_auth_req(
        &mut self,
        engine: &Engine,
        hash: &[u8; 32],
    ) -> Result<Option<Approval>, Error> {
        let now = self.now();
        let kept = self.approval_kept_by_auth_req(engine, hash).await?;
        Ok(kept.map(|kept| kept.seen_at(now)))
    }

    pub(super) async fn approval_by_binding_message(
        &mut self,
        engine: &Engine,
        text: &str,
    ) -> Result<Option<Approval>, Error> {
        let now = self.now();
        let sql = select!(
            "where a.state = 'pending' and a.expires_at > $1 and a.binding_message = $2 order by a.id desc limit 1"
        );
        let kept = self
            .kept(engine, sql, vec![now.into(), text.into()])
            .await?;
        Ok(kept.map(|kept| kept.seen_at(now)))
    }

    pub(super) async fn approvals_of(
        &mut self,
        engine: &Engine,
        person_id: &str,
        filter: Filter,
        limit: i64,
    ) -> Result<Vec<Approval>, Error> {
        let now = self.now();
        let (sql, args): (_, Vec<Value>) = match filter {
            Filter::All => (
                select!("where a.person_id = $1 order by a.created_at desc, a.id desc limit $2"),
                vec![person_id.into(), limit.into()],
            ),
            Filter::Pending => (
                select!(
                    "where a.person_id = $1 and a.state = 'pending' and a.expires_at > $2 order by a.created_at desc, a.id desc limit $3"
                ),
                vec![person_id.into(), now.into(), limit.into()],
            ),
            Filter::Decided => (
                select!(
                    "where a.person_id = $1 and (a.state <> 'pending' or a.expires_at <= $2) order by a.created_at desc, a.id desc limit $3"
                ),
                vec![person_id.into(), now.into(), limit.into()],
            ),
        };
        let rows = self.all(sql, args).await?;
        rows.iter()
            .map(|row| Ok(Kept::from_row(engine, row)?.seen_at(now)))
            .collect()
    }

    /// Those of others that this person was named an approver of.
    pub(super) async fn approvals_seated(
        &mut self,
        engine: &Engine,
        person_id: &str,
        filter: Filter,
        limit: i64,
    ) -> Result<Vec<Approval>, Error> {
        let now = self.now();
        let (sql, args): (_, Vec<Value>) = match filter {
            Filter::All => (
                select!(
                    "join approval_seats s on s.approval_id = a.id where s.person_id = $1 \
                     order by s.approval_id desc limit $2"
                ),
                vec![person_id.into(), limit.into()],
            ),
            Filter::Pending => (
                select!(
                    "join approval_seats s on s.approval_id = a.id where s.person_id = $1 \
                     and a.state = 'pending' and a.expires_at > $2 order by s.approval_id desc limit $3"
                ),
                vec![person_id.into(), now.into(), limit.into()],
            ),
            Filter::Decided => (
                select!(
                    "join approval_seats s on s.approval_id = a.id where s.person_id = $1 \
                     and (a.state <> 'pending' or a.expires_at <= $2) order by s.approval_id desc limit $3"
                ),
                vec![person_id.into(), now.into(), limit.into()],
            ),
        };
        let rows = self.all(sql, args).await?;
        rows.iter()
            .map(|row| Ok(Kept::from_row(engine, row)?.seen_at(now)))
            .collect()
    }

    /// Lets approvers find an approval of somebody else's.
    pub(super) async fn seat_approvers(&mut self, approval: &Approval) -> Result<(), Error> {
        for person in approval.approvers() {
            self.execute(
                "insert into approval_seats (approval_id, person_id) values ($1, $2) on conflict do nothing",
                vec![(&approval.id).into(), person.into()],
            )
            .await?;
        }
        Ok(())
    }

    pub(super) async fn approvals_pending(
        &mut self,
        person_id: &str,
        now: i64,
    ) -> Result<i64, Error> {
        let sql = "select (select count(*) from approvals where person_id = $1 and state = 'pending' and expires_at > $2) \
                   + (select count(*) from approval_seats s join approvals a on a.id = s.approval_id \
                   where s.person_id = $1 and a.person_id <> $1 and a.state = 'pending' and a.expires_at > $2) as pending";
        let row = self
            .optional(sql, vec![person_id.into(), now.into()])
            .await?;
        row.map_or(Ok(0), |row| row.get("pending"))
    }

    /// When the first of them runs out, if `most` or more requests of a client
    /// wait for a person.
    pub(super) async fn approvals_pending_of_client(
        &mut self,
        person_id: &str,
        client_id: &str,
        most: i64,
    ) -> Result<Option<i64>, Error> {
        let now = self.now();
        let sql = "select count(*) as pending, min(expires_at) as first from approvals \
                   where person_id = $1 and state = 'pending' and client_id = $2 and expires_at > $3";
        let row = self
            .optional(sql, vec![person_id.into(), client_id.into(), now.into()])
            .await?;
        match row {
            Some(row) if row.get::<i64>("pending")? >= most => row.get("first"),
            _ => Ok(None),
        }
    }

    /// Ids of pending approvals whose time is up.
    pub(super) async fn approvals_due(&mut self, limit: i64) -> Result<Vec<String>, Error> {
        let sql = "select id from approvals where state = 'pending' and expires_at <= $1 order by expires_at limit $2";
        let now = self.now();
        let rows = self.all(sql, vec![now.into(), limit.into()]).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    pub(super) async fn insert_approval(
        &mut self,
        engine: &Engine,
        kept: &Kept,
    ) -> Result<(), Error> {
        let approval = &kept.approval;
        let (mac, mac_key) = kept.mac(engine);
        self.execute(
            "insert into approvals (id, auth_req_hash, client_id, person_id, account_id, run_id, scopes, audience, \
             details, details_type, exact_call, call_digest, shown, binding_message, nonce, delivery, state, \
             state_reason, interval_seconds, created_at, expires_at, decided_at, consumed_at, mac, mac_key, \
             needs_passkey, in_force) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
             $19, $20, $21, $22, $23, $24, $25, $26, $27)",
            vec![
                (&approval.id).into(),
                (&kept.auth_req_hash).into(),
                (&approval.client_id).into(),
                (&approval.person_id).into(),
                (&approval.account_id).into(),
                (&approval.run_id).into(),
                Json(&approval.scopes).into(),
                (&approval.audience).into(),
                Json(&approval.details).into(),
                (&approval.details_type).into(),
                approval
                    .call
                    .as_ref()
                    .and_then(|call| serde_json::to_string(call).ok())
                    .into(),
                approval.call_digest.map(|digest| digest.to_vec()).into(),
                Json(&approval.shown).into(),
                (&approval.binding_message).into(),
                approval.nonce.into(),
                kept.delivery.word().into(),
                approval.state.word().into(),
                (&approval.state_reason).into(),
                approval.interval_s.into(),
                approval.created_at.into(),
                approval.expires_at.into(),
                approval.decided_at.into(),
                approval.consumed_at.into(),
                mac.into(),
                mac_key.into(),
                approval.needs_passkey.into(),
                in_force(approval),
            ],
        )
        .await?;
        Ok(())
    }

    /// Lets nobody else change a row until this write ends.
    pub(super) async fn hold_approval(&mut self, id: &str) -> Result<(), Error> {
        self.execute(
            "update approvals set state = state where id = $1",
            vec![id.into()],
        )
        .await?;
        Ok(())
    }

    /// Moves a row from `from` to the state in `kept`; `false` if somebody else was first.
    pub(super) async fn move_approval(
        &mut self,
        engine: &Engine,
        from: State,
        kept: &Kept,
    ) -> Result<bool, Error> {
        let approval = &kept.approval;
        let (mac, mac_key) = kept.mac(engine);
        let moved = self
            .swap(
                "update approvals set state = $1, state_reason = $2, decided_at = $3, consumed_at = $4, mac = $5, \
                 mac_key = $6, needs_passkey = $9, in_force = $10 where id = $7 and state = $8 returning id",
                vec![
                    approval.state.word().into(),
                    (&approval.state_reason).into(),
                    approval.decided_at.into(),
                    approval.consumed_at.into(),
                    mac.into(),
                    mac_key.into(),
                    (&approval.id).into(),
                    from.word().into(),
                    approval.needs_passkey.into(),
                    in_force(approval),
                ],
            )
            .await?;
        if moved.is_some() {
            self.signal(None, MOVED, &approval.id);
        }
        Ok(moved.is_some())
    }

    pub(super) async fn insert_decision(
        &mut self,
        engine: &Engine,
        approval_id: &str,
        made: &DecisionMade,
    ) -> Result<(), Error> {
        let (mac, mac_key) = engine
            .keys
            .mac(DECISIONS, &decision_covered(approval_id, made));
        self.execute(
            "insert into decisions (id, approval_id, person_id, decision, channel, evidence, address, user_agent, \
             decided_at, mac, mac_key) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            vec![
                (&made.id).into(),
                approval_id.into(),
                (&made.person_id).into(),
                made.decision.word().into(),
                made.channel.word().into(),
                (&made.evidence).into(),
                (&made.address).into(),
                (&made.user_agent).into(),
                made.decided_at.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn decisions_of(
        &mut self,
        engine: &Engine,
        approval_id: &str,
    ) -> Result<Vec<DecisionMade>, Error> {
        let sql = "select * from decisions where approval_id = $1 order by decided_at, id limit 50";
        let rows = self.all(sql, vec![approval_id.into()]).await?;
        rows.iter()
            .map(|row| decision_from_row(engine, approval_id, row))
            .collect()
    }

    /// Notes that the call is about to be sent; `false` if it ever was before.
    pub(super) async fn begin_call(&mut self, approval_id: &str) -> Result<bool, Error> {
        let now = self.now();
        let begun = self
            .swap(
                "insert into approved_calls (approval_id, state, started_at) values ($1, 'sending', $2) \
                 on conflict (approval_id) do nothing returning approval_id",
                vec![approval_id.into(), now.into()],
            )
            .await?;
        Ok(begun.is_some())
    }

    /// Notes what became of the call; `false` if that is known already.
    pub(super) async fn end_call(
        &mut self,
        approval_id: &str,
        end: &CallEnd,
    ) -> Result<bool, Error> {
        let now = self.now();
        let ended = self
            .swap(
                "update approved_calls set state = $1, finished_at = $2, status = $3, response_digest = $4, reason = $5 \
                 where approval_id = $6 and state = 'sending' returning approval_id",
                vec![
                    end.state.word().into(),
                    now.into(),
                    end.status.map(i64::from).into(),
                    end.response_digest.map(|digest| digest.to_vec()).into(),
                    end.reason.clone().into(),
                    approval_id.into(),
                ],
            )
            .await?;
        Ok(ended.is_some())
    }

    /// Calls that were begun before `before` and never ended.
    pub(super) async fn calls_begun_before(
        &mut self,
        before: i64,
        limit: i64,
    ) -> Result<Vec<String>, Error> {
        let sql = "select approval_id from approved_calls where state = 'sending' and started_at < $1 limit $2";
        let rows = self.all(sql, vec![before.into(), limit.into()]).await?;
        rows.iter().map(|row| row.get("approval_id")).collect()
    }
}
