//! Providers that this deployment added: in the configuration file, or an admin
//! in the console. They are entries as those of the catalogue, marked
//! `unverified`, and lie in the database under a MAC.
//!
//! What always holds: an entry that a connection uses keeps its origins, so
//! that nobody can point linked accounts' tokens elsewhere by editing it.

use std::sync::Arc;

use super::connections::Source;
use super::origins::Endpoints;
use super::providers::{self, Provider};
use super::{Error, Overrides};
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::keyring::sha256;
use crate::storage::{Row, Tx};

/// At most this many are kept.
const MOST: i64 = 200;

/// An entry of our own.
#[derive(Clone, Debug)]
pub struct Own {
    /// The entry.
    pub entry: Arc<Provider>,
    /// Who added it.
    pub source: Source,
}

/// All of them, by id.
///
/// # Errors
/// The database's; a row that was changed behind our back.
pub async fn list(engine: &Engine) -> Result<Vec<Own>, Error> {
    let rows = engine
        .store
        .reader()
        .await?
        .all(
            "select id as own_id, entry as own_entry, source as own_source, mac as own_mac, mac_key as own_mac_key \
             from providers order by id limit 200",
            vec![],
        )
        .await?;
    rows.iter()
        .filter_map(|row| read(engine, row).transpose())
        .collect()
}

/// The entry of that id: our own, or the catalogue's.
///
/// # Errors
/// The database's; a row that was changed behind our back.
pub async fn entry(engine: &Engine, id: &str) -> Result<Option<Arc<Provider>>, Error> {
    let row = engine
        .store
        .reader()
        .await?
        .optional(
            "select id as own_id, entry as own_entry, source as own_source, mac as own_mac, mac_key as own_mac_key \
             from providers where id = $1",
            vec![id.into()],
        )
        .await?;
    let own = row.map(|row| read(engine, &row)).transpose()?.flatten();
    Ok(own.map(|own| own.entry).or_else(|| providers::shared(id)))
}

/// Adds an entry, or from the configuration file changes it. Changes nothing,
/// and records nothing, when it stands like that already.
///
/// # Errors
/// [`Error::Invalid`] when the entry is not sound ([`providers::check`]), its id
/// is taken, or a connection uses it with other origins.
pub async fn put(
    engine: &Engine,
    admin_id: Option<&str>,
    mut entry: Provider,
    source: Source,
) -> Result<(), Error> {
    "unverified".clone_into(&mut entry.tried);
    let wrong = providers::check(&entry);
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong.join(" ")));
    }
    if providers::provider(&entry.id).is_some() {
        return Err(taken(&entry.id));
    }
    let text = serde_json::to_string(&entry)
        .map_err(|error| Error::Invalid(format!("the entry cannot be written down: {error}")))?;
    let keys = engine.clone();
    let admin = admin_id.map(str::to_owned);
    engine
        .store
        .write(move |tx| {
            let (engine, entry, text) = (keys.clone(), entry.clone(), text.clone());
            let admin = admin.clone();
            Box::pin(async move { tx.put_provider(&engine, admin, &entry, text, source).await })
        })
        .await
}

/// Takes an entry out again.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] while a connection uses it, and for
/// one that the configuration file names.
pub async fn remove(engine: &Engine, admin_id: &str, id: &str) -> Result<(), Error> {
    let (admin, id) = (admin_id.to_owned(), id.to_owned());
    engine
        .store
        .write(move |tx| {
            let (admin, id) = (admin.clone(), id.clone());
            Box::pin(async move { tx.remove_provider(admin, id).await })
        })
        .await
}

fn taken(id: &str) -> Error {
    Error::Invalid(format!("there is a provider called {id} already"))
}

fn covered(id: &str, text: &str, source: &str) -> Vec<u8> {
    serde_json::to_vec(&(id, text, source)).unwrap_or_default()
}

/// The entry in a row's `own_` columns; `None` where they are null.
pub(super) fn read(engine: &Engine, row: &Row) -> Result<Option<Own>, Error> {
    let Some(id) = row.get::<Option<String>>("own_id")? else {
        return Ok(None);
    };
    let text: String = row.get("own_entry")?;
    let source: String = row.get("own_source")?;
    let (mac, key): (Vec<u8>, String) = (row.get("own_mac")?, row.get("own_mac_key")?);
    let covered = covered(&id, &text, &source);
    if !engine.keys.mac_holds("providers", &covered, &mac, &key) {
        return Err(row.bad("providers", "mac").into());
    }
    let entry: Provider = serde_json::from_str(&text).map_err(|_| row.bad("providers", "entry"))?;
    Ok(Some(Own {
        entry: Arc::new(entry),
        source: source
            .parse()
            .map_err(|()| row.bad("providers", "source"))?,
    }))
}

impl Tx {
    async fn put_provider(
        &mut self,
        engine: &Engine,
        admin: Option<String>,
        entry: &Provider,
        text: String,
        source: Source,
    ) -> Result<(), Error> {
        let old = self
            .optional(
                "select entry, source from providers where id = $1",
                vec![(&entry.id).into()],
            )
            .await?;
        if let Some(old) = &old {
            let (was, by) = (old.get::<String>("entry")?, old.get::<String>("source")?);
            if was == text && by == source.word() {
                return Ok(());
            }
            // The console adds; only the file, which stands for itself, changes.
            if source != Source::Config {
                return Err(taken(&entry.id));
            }
            self.keep_origins(entry).await?;
        } else {
            let count = self
                .optional("select count(*) as n from providers", vec![])
                .await?
                .map_or(Ok(0), |row| row.get::<i64>("n"))?;
            if count >= MOST {
                return Err(Error::Invalid(format!(
                    "there are {MOST} providers of your own already"
                )));
            }
        }
        let now = self.now();
        let covered = covered(&entry.id, &text, source.word());
        let (mac, mac_key) = engine.keys.mac("providers", &covered);
        self.execute(
            "insert into providers (id, entry, source, created_at, updated_at, mac, mac_key) \
             values ($1, $2, $3, $4, $4, $5, $6) on conflict (id) do update set entry = excluded.entry, \
             source = excluded.source, updated_at = excluded.updated_at, mac = excluded.mac, mac_key = excluded.mac_key",
            vec![
                (&entry.id).into(),
                (&text).into(),
                source.word().into(),
                now.into(),
                mac.into(),
                mac_key.into(),
            ],
        )
        .await?;
        let kind = if old.is_some() {
            Kind::ProviderChanged
        } else {
            Kind::ProviderAdded
        };
        let digest = sha256(text.as_bytes())
            .iter()
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let event = Event::new(kind)
            .data("provider", entry.id.as_str())
            .data("entry", digest)
            .data("source", source.word());
        self.record(match admin {
            Some(admin) => event.person(admin),
            None => event,
        });
        Ok(())
    }

    /// Refuses an entry that would send tokens of a connection elsewhere.
    async fn keep_origins(&mut self, entry: &Provider) -> Result<(), Error> {
        let using = self
            .all(
                "select id, overrides, origins_digest from connections where provider = $1",
                vec![(&entry.id).into()],
            )
            .await?;
        for row in using {
            let overrides: Overrides = row.json("connections", "overrides")?;
            let endpoints = Endpoints::of(&entry.with(&overrides.parameters)?, &overrides)?;
            if endpoints.digest() != row.get::<String>("origins_digest")? {
                return Err(Error::Invalid(format!(
                    "connection {} uses the provider {} with other addresses: its tokens belong to those; \
                     add the provider under another id",
                    row.get::<String>("id")?,
                    entry.id
                )));
            }
        }
        Ok(())
    }

    async fn remove_provider(&mut self, admin: String, id: String) -> Result<(), Error> {
        let used = self
            .optional(
                "select id from connections where provider = $1 limit 1",
                vec![(&id).into()],
            )
            .await?;
        if let Some(row) = used {
            return Err(Error::Invalid(format!(
                "connection {} uses this provider",
                row.get::<String>("id")?
            )));
        }
        let old = self
            .optional(
                "select source from providers where id = $1",
                vec![(&id).into()],
            )
            .await?
            .ok_or(Error::NotFound)?;
        if old.get::<String>("source")? != Source::Admin.word() {
            return Err(Error::Invalid(
                "this provider is in the configuration file; take it out there".to_owned(),
            ));
        }
        self.execute("delete from providers where id = $1", vec![(&id).into()])
            .await?;
        self.record(
            Event::new(Kind::ProviderRemoved)
                .person(admin)
                .data("provider", id),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::connections::{self, NewConnection};
    use super::super::providers::{ClientAuth, Generic, GenericIdentity, RefreshRule};
    use super::*;
    use crate::testing::Bench;

    fn entry(id: &str) -> Provider {
        let url = |path: &str| format!("https://{id}.example/{path}").parse().unwrap();
        Generic {
            id: id.to_owned(),
            name: id.to_owned(),
            source_page: url("docs"),
            authorize: url("authorize"),
            token: url("token"),
            revoke: None,
            client_auth: ClientAuth::Post,
            pkce: true,
            api: url("api"),
            identity: GenericIdentity::Endpoint {
                url: url("me"),
                subject: "/id".to_owned(),
                label: "/name".to_owned(),
            },
            rule: RefreshRule::Keeps,
            scopes: Vec::new(),
        }
        .into()
    }

    #[tokio::test]
    async fn what_an_admin_typed_is_called_by_the_guarded_client() {
        let bench = Bench::new().await;
        let own = [("typed", Source::Admin), ("filed", Source::Config)];
        for (id, source) in own {
            put(&bench, None, entry(id), source).await.unwrap();
        }
        for (provider, setting, source, guarded) in [
            ("typed", None, Source::Config, true),
            ("filed", None, Source::Admin, false),
            ("slack", None, Source::Admin, false),
            ("gitlab", None, Source::Admin, false),
            ("gitlab", Some(("host", "git.example")), Source::Admin, true),
            (
                "gitlab",
                Some(("host", "git.example")),
                Source::Config,
                false,
            ),
            // No other host than the entry's.
            ("microsoft", Some(("tenant", "acme")), Source::Admin, false),
        ] {
            let parameters = setting
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_iter()
                .collect();
            let new = NewConnection {
                id: "there".to_owned(),
                provider: provider.to_owned(),
                client_id: "us".to_owned(),
                client_secret: "secret".into(),
                scopes: None,
                overrides: Overrides {
                    parameters,
                    ..Overrides::default()
                },
                source,
            };
            connections::put(&bench, new).await.unwrap();
            let stored = connections::need(&bench, "there").await.unwrap();
            assert_eq!(
                Arc::ptr_eq(stored.outbound(&bench), &bench.guarded),
                guarded,
                "{provider} {setting:?} {source:?}"
            );
        }
    }
}
