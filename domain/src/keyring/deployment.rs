//! The one row that says whose database this is and which key wraps.

use crate::storage::{Error, Tx};

/// The one row that says whose database this is.
pub(super) struct Deployment {
    pub(super) id: String,
    /// The key-encryption key that wrapped everything, or did before `next_kek_id`.
    pub(super) kek_id: String,
    /// The one that wraps while everything is wrapped anew.
    pub(super) next_kek_id: Option<String>,
}

impl Deployment {
    pub(super) fn wraps(&self) -> &str {
        self.next_kek_id.as_ref().unwrap_or(&self.kek_id)
    }
}

/// What came of the wish to wrap with another key.
pub(crate) enum Begin {
    /// This key wrapped everything until now.
    Begun(String),
    /// A rotation to the same key had begun before.
    UnderWay,
    /// That key wraps already.
    Nothing,
    /// A rotation to this other key is not done.
    Other(String),
}

impl Tx {
    pub(super) async fn deployment(&mut self) -> Result<Option<Deployment>, Error> {
        let row = self
            .optional(
                "select deployment_id, kek_id, next_kek_id from deployment where id = 'self'",
                vec![],
            )
            .await?;
        row.map(|row| {
            Ok(Deployment {
                id: row.get("deployment_id")?,
                kek_id: row.get("kek_id")?,
                next_kek_id: row.get("next_kek_id")?,
            })
        })
        .transpose()
    }

    /// From now on `next` wraps, unless another rotation is under way. Answers
    /// the key that everything was wrapped with, if this began something.
    pub(crate) async fn begin_rotation(&mut self, next: &str) -> Result<Begin, Error> {
        self.hold_keys().await?;
        let Some(deployment) = self.deployment().await? else {
            return Ok(Begin::Nothing);
        };
        match deployment.next_kek_id {
            Some(other) if other != next => return Ok(Begin::Other(other)),
            Some(_) => return Ok(Begin::UnderWay),
            None if deployment.kek_id == next => return Ok(Begin::Nothing),
            None => {}
        }
        self.execute(
            "update deployment set next_kek_id = $1 where id = 'self'",
            vec![next.into()],
        )
        .await?;
        Ok(Begin::Begun(deployment.kek_id))
    }

    /// Everything is wrapped by `next`. Answers whether that is news.
    pub(crate) async fn end_rotation(&mut self, next: &str) -> Result<bool, Error> {
        Ok(self
            .execute(
                "update deployment set kek_id = $1, next_kek_id = null where id = 'self' and next_kek_id = $1",
                vec![next.into()],
            )
            .await?
            > 0)
    }

    /// Takes a database into care that nobody ever did. Answers whether this was it.
    pub(crate) async fn claim_place(
        &mut self,
        place: &str,
        mac: [u8; 32],
        key: &str,
    ) -> Result<bool, Error> {
        let sql = "update deployment set place = $1, place_mac = $2, place_mac_key = $3 \
                   where id = 'self' and place is null";
        let args = vec![place.into(), mac.into(), key.into()];
        Ok(self.execute(sql, args).await? > 0)
    }

    /// Where the database was adopted, with its MAC and that one's key.
    pub(crate) async fn adopted_place(
        &mut self,
    ) -> Result<Option<(String, Vec<u8>, String)>, Error> {
        let sql = "select place, coalesce(place_mac, $1) as mac, coalesce(place_mac_key, '') as key \
                   from deployment where id = 'self' and place is not null";
        let row = self.optional(sql, vec![Vec::new().into()]).await?;
        row.map(|row| Ok((row.get("place")?, row.get("mac")?, row.get("key")?)))
            .transpose()
    }

    /// Says where the database is adopted; without a MAC, nowhere.
    pub(crate) async fn put_place(
        &mut self,
        place: &str,
        mac: Option<([u8; 32], &str)>,
    ) -> Result<(), Error> {
        let now = self.now();
        let (mac, key) = mac.map_or((None, None), |(mac, key)| {
            (Some(mac.to_vec()), Some(key.to_owned()))
        });
        let sql = "update deployment set place = $1, place_mac = $2, place_mac_key = $3, adopted_at = $4 \
                   where id = 'self'";
        let args = vec![place.into(), mac.into(), key.into(), now.into()];
        self.execute(sql, args).await?;
        Ok(())
    }

    /// Lets nobody else change keys until this write ends.
    pub(crate) async fn hold_keys(&mut self) -> Result<(), Error> {
        self.execute(
            "update deployment set adopted_at = adopted_at where id = 'self'",
            vec![],
        )
        .await?;
        Ok(())
    }
}
