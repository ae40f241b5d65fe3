//! The SQL of channels and of what goes out by them.

use super::{Delivery, NoticeChannel, TABLE};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::storage::{self, Row, Tx};

/// The topic of the signal that one is due.
pub(super) const DUE: &str = "channel_notice";

/// A channel's row, its MAC checked.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) shown: NoticeChannel,
    pub(super) rank: i64,
    pub(super) ended_at: Option<i64>,
}

/// One notice after it was claimed.
pub(super) struct Claimed {
    pub(super) approval_id: Option<String>,
    pub(super) channel_id: String,
    pub(super) kind: String,
    pub(super) attempts: i64,
}

impl Kept {
    fn covered(&self) -> Vec<u8> {
        // The rank decides nothing but who is first.
        serde_json::json!([
            self.shown.id,
            self.shown.person_id,
            self.shown.kind.word(),
            self.shown.target,
            self.shown.created_at.to_string(),
            self.ended_at.map(|at| at.to_string()),
        ])
        .to_string()
        .into_bytes()
    }

    fn from_row(engine: &Engine, row: &Row) -> Result<Self, storage::Error> {
        let kept = Self {
            shown: NoticeChannel {
                id: row.get("id")?,
                person_id: row.get("person_id")?,
                kind: row.word(TABLE, "kind")?,
                target: row.get("target")?,
                created_at: row.get("created_at")?,
            },
            rank: row.get("rank")?,
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
            .data("channel", self.shown.id.as_str())
            .data("kind", self.shown.kind.word())
            .private("target", self.shown.shown_target())
    }
}

impl Tx {
    pub(super) async fn active_channels(
        &mut self,
        engine: &Engine,
        person_id: &str,
    ) -> Result<Vec<Kept>, storage::Error> {
        let sql = "select * from notice_channels where person_id = $1 and state = 'active' \
                   order by rank, id limit 100";
        let rows = self.all(sql, vec![person_id.into()]).await?;
        rows.iter().map(|row| Kept::from_row(engine, row)).collect()
    }

    pub(super) async fn active_channel(
        &mut self,
        engine: &Engine,
        id: &str,
    ) -> Result<Option<Kept>, storage::Error> {
        let sql = "select * from notice_channels where id = $1 and state = 'active'";
        let row = self.optional(sql, vec![id.into()]).await?;
        row.map(|row| Kept::from_row(engine, &row)).transpose()
    }

    pub(super) async fn insert_channel(
        &mut self,
        engine: &Engine,
        kept: &Kept,
    ) -> Result<(), storage::Error> {
        let (mac, mac_key) = engine.keys.mac(TABLE, &kept.covered());
        self.execute(
            "insert into notice_channels (id, person_id, kind, target, rank, state, created_at, mac, mac_key) \
             values ($1, $2, $3, $4, $5, 'active', $6, $7, $8)",
            vec![
                (&kept.shown.id).into(),
                (&kept.shown.person_id).into(),
                kept.shown.kind.word().into(),
                (&kept.shown.target).into(),
                kept.rank.into(),
                kept.shown.created_at.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        Ok(())
    }

    pub(super) async fn rank_channel(&mut self, id: &str, rank: i64) -> Result<(), storage::Error> {
        let sql = "update notice_channels set rank = $2 where id = $1 and state = 'active'";
        self.execute(sql, vec![id.into(), rank.into()]).await?;
        Ok(())
    }

    /// Ends a channel: where it led to goes, and what it had to bring goes to the next.
    pub(super) async fn end_channel(
        &mut self,
        engine: &Engine,
        mut kept: Kept,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        kept.ended_at = Some(now);
        kept.shown.target = String::new();
        let (mac, mac_key) = engine.keys.mac(TABLE, &kept.covered());
        self.execute(
            "update notice_channels set state = 'ended', target = '', ended_at = $2, mac = $3, mac_key = $4 \
             where id = $1",
            vec![
                (&kept.shown.id).into(),
                now.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        let sql = "select id from channel_notices where channel_id = $1 and state in ('due', 'waiting') \
                   order by id limit 500";
        let open = self.all(sql, vec![(&kept.shown.id).into()]).await?;
        for row in open {
            let id: String = row.get("id")?;
            self.end_channel_notice(&id, "given_up", Some("the way was removed".to_owned()), 0)
                .await?;
        }
        Ok(())
    }

    /// Has a person's channels told of a request: the first now, the others if
    /// it gives up.
    pub(in crate::approval) async fn channel_notices_of_request(
        &mut self,
        approval_id: &str,
        person_id: &str,
        client_id: &str,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        let told = self
            .execute(
                "insert into channel_notices (id, approval_id, channel_id, kind, state, rank, attempts, next_at, created_at) \
                 select $1 || '.' || c.id, $1, c.id, 'asked', \
                 case when c.rank = (select min(f.rank) from notice_channels f \
                 where f.person_id = $2 and f.state = 'active') then 'due' else 'waiting' end, c.rank, 0, $3, $3 \
                 from notice_channels c where c.person_id = $2 and c.state = 'active' \
                 and not exists (select 1 from notice_mutes m where m.person_id = $2 and m.client_id = $4 and m.until > $3)",
                vec![
                    approval_id.into(),
                    person_id.into(),
                    now.into(),
                    client_id.into(),
                ],
            )
            .await?;
        if told > 0 {
            self.signal(None, DUE, approval_id);
        }
        Ok(())
    }

    /// The request has ended: nobody is told of it any more, and a webhook that
    /// was told hears of the end.
    pub(in crate::approval) async fn channel_notices_of_end(
        &mut self,
        approval_id: &str,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        let ended = self
            .all(
                "select n.channel_id as channel_id from channel_notices n join notice_channels c on c.id = n.channel_id \
                 where n.approval_id = $1 and n.kind = 'asked' and c.kind = 'webhook' and c.state = 'active' \
                 and n.attempts > 0 and n.state in ('due', 'done') order by n.id limit 100",
                vec![approval_id.into()],
            )
            .await?;
        self.execute(
            "update channel_notices set state = 'given_up', detail = 'the request has ended', settled_at = $2 \
             where approval_id = $1 and state in ('due', 'waiting')",
            vec![approval_id.into(), now.into()],
        )
        .await?;
        for row in ended {
            let channel: String = row.get("channel_id")?;
            self.insert_channel_notice(Some(approval_id), &channel, "ended")
                .await?;
        }
        Ok(())
    }

    /// A recovery code gave the person a device: every channel is told at once.
    pub(in crate::approval) async fn channel_notices_of_device(
        &mut self,
        engine: &Engine,
        person_id: &str,
    ) -> Result<(), storage::Error> {
        for channel in self.active_channels(engine, person_id).await? {
            self.insert_channel_notice(None, &channel.shown.id, "device")
                .await?;
        }
        Ok(())
    }

    pub(super) async fn insert_channel_notice(
        &mut self,
        approval_id: Option<&str>,
        channel_id: &str,
        kind: &'static str,
    ) -> Result<(), storage::Error> {
        let (id, now) = (self.new_id("ntc"), self.now());
        self.execute(
            "insert into channel_notices (id, approval_id, channel_id, kind, state, rank, attempts, next_at, created_at) \
             values ($1, $2, $3, $4, 'due', 0, 0, $5, $5)",
            vec![
                (&id).into(),
                approval_id.into(),
                channel_id.into(),
                kind.into(),
                now.into(),
            ],
        )
        .await?;
        self.signal(None, DUE, &id);
        Ok(())
    }

    pub(super) async fn channel_notices_due(
        &mut self,
    ) -> Result<Vec<(String, String)>, storage::Error> {
        let now = self.now();
        let sql = "select id, channel_id from channel_notices where state = 'due' and next_at <= $1 \
                   order by next_at, id limit 500";
        let rows = self.all(sql, vec![now.into()]).await?;
        rows.iter()
            .map(|row| Ok((row.get("id")?, row.get("channel_id")?)))
            .collect()
    }

    pub(super) async fn claim_channel_notice(
        &mut self,
        id: &str,
        claim_ms: i64,
    ) -> Result<Option<Claimed>, storage::Error> {
        let now = self.now();
        let row = self
            .swap(
                "update channel_notices set attempts = attempts + 1, next_at = $3 \
                 where id = $1 and state = 'due' and next_at <= $2 \
                 returning approval_id, channel_id, kind, attempts",
                vec![id.into(), now.into(), (now + claim_ms).into()],
            )
            .await?;
        row.map(|row| {
            Ok(Claimed {
                approval_id: row.get("approval_id")?,
                channel_id: row.get("channel_id")?,
                kind: row.get("kind")?,
                attempts: row.get("attempts")?,
            })
        })
        .transpose()
    }

    /// Settles one, or has it tried again later; what was settled meanwhile
    /// stays. One that gives up makes the next of its request and person due, one
    /// that is done spares the rest of them.
    pub(super) async fn end_channel_notice(
        &mut self,
        id: &str,
        state: &'static str,
        detail: Option<String>,
        next_ms: i64,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        let settled = (state != "due").then_some(now);
        let ended = self
            .swap(
                "update channel_notices set state = $2, detail = $3, settled_at = $4, next_at = $5 \
                 where id = $1 and state in ('due', 'waiting') returning approval_id, channel_id, kind",
                vec![
                    id.into(),
                    state.into(),
                    detail.into(),
                    settled.into(),
                    (now + next_ms).into(),
                ],
            )
            .await?;
        let Some(row) = ended else {
            return Ok(());
        };
        let approval: Option<String> = row.get("approval_id")?;
        let (Some(approval), "asked") = (approval, row.get::<String>("kind")?.as_str()) else {
            return Ok(());
        };
        // Others who are asked as well have an order of their own.
        let channel: String = row.get("channel_id")?;
        match state {
            "given_up" => {
                // Only if nobody else is at it.
                let next = self
                    .swap(
                        "update channel_notices set state = 'due', next_at = $2 where id = \
                         (select n.id from channel_notices n join notice_channels c on c.id = n.channel_id \
                         where n.approval_id = $1 and n.state = 'waiting' \
                         and c.person_id = (select person_id from notice_channels where id = $3) order by n.rank, n.id limit 1) \
                         and not exists (select 1 from channel_notices n join notice_channels c on c.id = n.channel_id \
                         where n.approval_id = $1 and n.kind = 'asked' and n.state = 'due' \
                         and c.person_id = (select person_id from notice_channels where id = $3)) \
                         returning id",
                        vec![approval.into(), now.into(), channel.into()],
                    )
                    .await?;
                if let Some(row) = next {
                    let id: String = row.get("id")?;
                    self.signal(None, DUE, &id);
                }
            }
            "done" => {
                self.execute(
                    "update channel_notices set state = 'spared', settled_at = $2 \
                     where approval_id = $1 and state = 'waiting' and channel_id in (select c.id from notice_channels c \
                     where c.person_id = (select person_id from notice_channels where id = $3))",
                    vec![approval.into(), now.into(), channel.into()],
                )
                .await?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) async fn channel_deliveries(
        &mut self,
        person_id: &str,
        most: i64,
    ) -> Result<Vec<Delivery>, storage::Error> {
        let sql = "select n.channel_id as channel_id, n.approval_id as approval_id, n.kind as kind, n.state as state, \
                   n.attempts as attempts, n.detail as detail, n.created_at as created_at \
                   from channel_notices n join notice_channels c on c.id = n.channel_id \
                   where c.person_id = $1 order by n.created_at desc, n.id desc limit $2";
        let rows = self.all(sql, vec![person_id.into(), most.into()]).await?;
        rows.iter()
            .map(|row| {
                Ok(Delivery {
                    channel_id: row.get("channel_id")?,
                    approval_id: row.get("approval_id")?,
                    kind: row.get("kind")?,
                    state: row.get("state")?,
                    attempts: row.get("attempts")?,
                    detail: row.get("detail")?,
                    created_at: row.get("created_at")?,
                })
            })
            .collect()
    }

    pub(super) async fn sweep_channels(
        &mut self,
        settled_before: i64,
        ended_before: i64,
    ) -> Result<u64, storage::Error> {
        let notices = self
            .execute(
                "delete from channel_notices where id in (select id from channel_notices \
                 where state not in ('due', 'waiting') and settled_at <= $1 limit 1000)",
                vec![settled_before.into()],
            )
            .await?;
        let channels = self
            .execute(
                "delete from notice_channels where id in (select c.id from notice_channels c \
                 where c.state = 'ended' and c.ended_at <= $1 \
                 and not exists (select 1 from channel_notices n where n.channel_id = c.id) limit 1000)",
                vec![ended_before.into()],
            )
            .await?;
        Ok(notices + channels)
    }
}
