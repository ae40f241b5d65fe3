//! The keys in use, opened once at start.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use aws_lc_rs::{constant_time, digest, hmac, rsa};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::sign::Signer;
use super::tokens::{TokenKey, TokenKeys};
use super::{Error, Keks, KeySet};
use crate::rotation::{WrappedRows, wrapped_rows};
use crate::secret::Secret;
use crate::storage::{self, Json, Row, Store, Tx};

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Keyed hashes of our tokens, client secrets and session ids.
    Hash,
    /// MACs over rows that decide who may do what.
    Mac,
    /// Signatures of tokens.
    Token(SigningAlg),
    /// Signatures of the audit log's checkpoints (Ed25519).
    Log,
    /// Signatures for push services (ES256): browsers are told it when they
    /// subscribe, so it takes no turns.
    Vapid,
}

/// How tokens are signed (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningAlg {
    /// ECDSA P-256: access tokens.
    Es256,
    /// RSA PKCS #1 v1.5 with SHA-256: ID tokens by default.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl SigningAlg {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Es256, Self::Rs256, Self::EdDsa];

    /// The `alg` value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

const ALL: [Purpose; 7] = [
    Purpose::Hash,
    Purpose::Mac,
    Purpose::Token(SigningAlg::Es256),
    Purpose::Token(SigningAlg::Rs256),
    Purpose::Token(SigningAlg::EdDsa),
    Purpose::Log,
    Purpose::Vapid,
];

impl Purpose {
    const fn word(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Mac => "mac",
            Self::Token(_) => "token",
            Self::Log => "log",
            Self::Vapid => "vapid",
        }
    }

    const fn alg(self) -> &'static str {
        match self {
            Self::Hash | Self::Mac => "HS256",
            Self::Token(alg) => alg.name(),
            Self::Log => "EdDSA",
            Self::Vapid => "ES256",
        }
    }

    fn parse(purpose: &str, alg: &str) -> Option<Self> {
        ALL.into_iter()
            .find(|known| known.word() == purpose && known.alg() == alg)
    }
}

/// A public key as a JSON Web Key (RFC 7517).
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Jwk {
    /// Key type.
    pub kty: String,
    /// Key id.
    pub kid: String,
    /// Algorithm.
    pub alg: String,
    /// Always `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// Curve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// First coordinate, or the Ed25519 key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// Second coordinate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// RSA modulus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// RSA exponent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
}

/// A key that signs tokens or checkpoints.
#[derive(Clone)]
pub struct SigningKey {
    /// Its id (`kid`).
    pub kid: String,
    /// How it signs.
    pub alg: SigningAlg,
    /// The private key, PKCS #8 DER whatever the algorithm.
    pub private_der: Arc<Secret<Vec<u8>>>,
    /// The public half.
    pub jwk: Jwk,
    signer: Signer,
}

impl SigningKey {
    fn open(
        kid: String,
        alg: SigningAlg,
        private: Secret<Vec<u8>>,
        jwk: Jwk,
    ) -> Result<Self, Error> {
        Ok(Self {
            kid,
            alg,
            signer: Signer::open(alg, private.expose())?,
            private_der: Arc::new(private),
            jwk,
        })
    }

    /// Signs as JWS wants it (RFC 7518 §3, RFC 8037).
    ///
    /// # Errors
    /// When the crypto library refuses.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.signer.sign(message)
    }
}

/// All keys, opened. Those of tokens change as they take turns; the others stay.
pub struct Keyring {
    keks: Keks,
    deployment_id: String,
    hash: hmac::Key,
    mac: (String, hmac::Key),
    old_macs: HashMap<String, hmac::Key>,
    tokens: RwLock<Arc<TokenKeys>>,
    log: SigningKey,
    vapid: SigningKey,
}

/// A key of tokens as `attorn keys list` shows it.
#[derive(Clone, Debug)]
pub struct TokenKeyRow {
    /// Its id (`kid`).
    pub kid: String,
    /// How it signs.
    pub alg: SigningAlg,
    /// When it begins to sign, Unix milliseconds.
    pub active_from: i64,
    /// When it is withdrawn.
    pub retired_at: Option<i64>,
}

/// A new key of tokens.
pub(crate) struct NewTokenKey {
    kid: String,
    alg: SigningAlg,
    made: Made,
}

/// A new key of tokens, wrapped.
pub(crate) struct WrappedTokenKey {
    kid: String,
    alg: SigningAlg,
    wrapped: Vec<u8>,
    kek_id: String,
    public: Option<Jwk>,
}

impl WrappedTokenKey {
    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }
}

struct Made {
    private: Secret<Vec<u8>>,
    public: Option<Jwk>,
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn make(purpose: Purpose, kid: &str, random: &dyn crate::ids::Rng) -> Result<Made, Error> {
    let failed = |_| Error::Unavailable("a key could not be generated".to_owned());
    let jwk = |kty: &str| Jwk {
        kty: kty.to_owned(),
        kid: kid.to_owned(),
        alg: purpose.alg().to_owned(),
        usage: "sig".to_owned(),
        crv: None,
        x: None,
        y: None,
        n: None,
        e: None,
    };
    Ok(match purpose {
        Purpose::Hash | Purpose::Mac => Made {
            private: Secret::new(crate::ids::random::<32>(random).to_vec()),
            public: None,
        },
        Purpose::Token(SigningAlg::Es256) | Purpose::Vapid => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
            let der = pair.to_pkcs8v1().map_err(failed)?;
            // Uncompressed point: 0x04, x, y.
            let point = pair.public_key().as_ref();
            let public = Jwk {
                crv: Some("P-256".to_owned()),
                x: Some(b64(&point[1..33])),
                y: Some(b64(&point[33..65])),
                ..jwk("EC")
            };
            Made {
                private: Secret::new(der.as_ref().to_vec()),
                public: Some(public),
            }
        }
        Purpose::Token(SigningAlg::Rs256) => {
            let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).map_err(failed)?;
            let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der = pair.as_der().map_err(failed)?;
            let public = pair.public_key();
            let jwk = Jwk {
                n: Some(b64(public.modulus().big_endian_without_leading_zero())),
                e: Some(b64(public.exponent().big_endian_without_leading_zero())),
                ..jwk("RSA")
            };
            Made {
                private: Secret::new(pkcs8.as_ref().to_vec()),
                public: Some(jwk),
            }
        }
        Purpose::Token(SigningAlg::EdDsa) | Purpose::Log => {
            let pair = Ed25519KeyPair::generate().map_err(failed)?;
            let der = pair.to_pkcs8v1().map_err(failed)?;
            let public = Jwk {
                crv: Some("Ed25519".to_owned()),
                x: Some(b64(pair.public_key().as_ref())),
                ..jwk("OKP")
            };
            Made {
                private: Secret::new(der.as_ref().to_vec()),
                public: Some(public),
            }
        }
    })
}

/// A new key of any purpose, wrapped.
struct MadeKey {
    id: String,
    purpose: Purpose,
    wrapped: Vec<u8>,
    kek_id: String,
    public: Option<Jwk>,
}

async fn make_wrapped(
    keks: &Keks,
    rng: &dyn crate::ids::Rng,
    position: usize,
    purpose: Purpose,
) -> Result<MadeKey, Error> {
    let id = format!(
        "key_{position}{}",
        b64(&crate::ids::random::<12>(rng)).replace(['-', '_'], "x")
    );
    let key = make(purpose, &id, rng)?;
    let (wrapped, kek_id) = keks.wrap(key.private.expose(), &aad(&id)).await?;
    Ok(MadeKey {
        id,
        purpose,
        wrapped,
        kek_id,
        public: key.public,
    })
}

struct KeyRow {
    id: String,
    purpose: Purpose,
    wrapped: Vec<u8>,
    kek_id: String,
    public: Option<Jwk>,
    state: String,
    active_from: i64,
    retired_at: Option<i64>,
}

impl KeyRow {
    fn from_row(row: &Row) -> Result<Self, storage::Error> {
        let purpose = Purpose::parse(&row.get::<String>("purpose")?, &row.get::<String>("alg")?)
            .ok_or_else(|| row.bad("keys", "purpose"))?;
        Ok(Self {
            id: row.get("id")?,
            purpose,
            wrapped: row.get("wrapped")?,
            kek_id: row.get("kek_id")?,
            public: row.json_option("keys", "public_jwk")?,
            state: row.get("state")?,
            active_from: row.get("active_from")?,
            retired_at: row.get("retired_at")?,
        })
    }
}

/// What a key of the ring is wrapped for.
fn aad(id: &str) -> Vec<u8> {
    format!("attorn key\0{id}").into_bytes()
}

/// Keys of the ring, for a rotation of what wraps them.
pub(crate) const WRAPPED: WrappedRows = wrapped_rows!("keys", "id", "wrapped", aad);

impl Tx {
    async fn keys(&mut self) -> Result<Vec<KeyRow>, storage::Error> {
        let sql = "select id, purpose, alg, wrapped, kek_id, public_jwk, state, retired_at, \
                   coalesce(active_from, created_at) as active_from from keys \
                   where state <> 'retired' order by created_at, id limit 1000";
        self.all(sql, vec![])
            .await?
            .iter()
            .map(KeyRow::from_row)
            .collect()
    }

    /// Keys of tokens that are not withdrawn, the oldest first.
    pub(crate) async fn token_keys(&mut self) -> Result<Vec<TokenKeyRow>, storage::Error> {
        let now = self.now();
        let rows = self.keys().await?;
        Ok(rows
            .into_iter()
            .filter(|row| row.retired_at.is_none_or(|end| end > now))
            .filter_map(|row| match row.purpose {
                Purpose::Token(alg) => Some(TokenKeyRow {
                    kid: row.id,
                    alg,
                    active_from: row.active_from,
                    retired_at: row.retired_at,
                }),
                _ => None,
            })
            .collect())
    }

    async fn insert_key(&mut self, key: &MadeKey) -> Result<(), storage::Error> {
        let now = self.now();
        self.execute(
            "insert into keys (id, purpose, alg, wrapped, kek_id, public_jwk, state, created_at) \
             values ($1, $2, $3, $4, $5, $6, 'active', $7)",
            vec![
                (&key.id).into(),
                key.purpose.word().into(),
                key.purpose.alg().into(),
                (&key.wrapped).into(),
                (&key.kek_id).into(),
                key.public
                    .as_ref()
                    .map(|jwk| serde_json::to_string(&Json(jwk).0).unwrap_or_default())
                    .into(),
                now.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Says when the keys of this algorithm end that have no end yet, or a later one.
    pub(crate) async fn retire_token_keys(
        &mut self,
        alg: SigningAlg,
        end: i64,
    ) -> Result<(), storage::Error> {
        self.execute(
            "update keys set retired_at = $2 where purpose = 'token' and alg = $1 and state = 'active' \
             and (retired_at is null or retired_at > $2)",
            vec![alg.name().into(), end.into()],
        )
        .await?;
        Ok(())
    }

    pub(crate) async fn insert_token_key(
        &mut self,
        key: &WrappedTokenKey,
        active_from: i64,
    ) -> Result<(), storage::Error> {
        let now = self.now();
        self.execute(
            "insert into keys (id, purpose, alg, wrapped, kek_id, public_jwk, state, created_at, active_from) \
             values ($1, 'token', $2, $3, $4, $5, 'active', $6, $7)",
            vec![
                (&key.kid).into(),
                key.alg.name().into(),
                (&key.wrapped).into(),
                (&key.kek_id).into(),
                key.public
                    .as_ref()
                    .and_then(|jwk| serde_json::to_string(jwk).ok())
                    .into(),
                now.into(),
                active_from.into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Withdrawn keys keep their row, and lose what signs.
    pub(crate) async fn shred_retired_keys(&mut self) -> Result<(), storage::Error> {
        let now = self.now();
        self.execute(
            "update keys set state = 'retired', wrapped = $2 \
             where purpose = 'token' and state = 'active' and retired_at <= $1",
            vec![now.into(), Vec::new().into()],
        )
        .await?;
        Ok(())
    }
}

impl Keyring {
    /// Whether the database has never been used: only then may a key file be created for it.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_new(store: &Store) -> Result<bool, storage::Error> {
        Ok(store.reader().await?.deployment().await?.is_none())
    }

    /// Opens the keys of this database, making them if it is new.
    ///
    /// # Errors
    /// When the key-encryption key is not the one that wrapped them.
    pub async fn open(
        store: &Store,
        set: KeySet,
        rng: &dyn crate::ids::Rng,
    ) -> Result<Self, Error> {
        let (deployment_id, keks) = Self::prepare(store, set, rng).await?;
        let rows = store.reader().await?.keys().await?;
        let mut tokens = TokenKeys::default();
        let (mut hash, mut mac, mut log, mut vapid) = (None, None, None, None);
        let mut old_macs = HashMap::new();
        for row in rows {
            if !keks.knows(&row.kek_id) {
                return Err(Error::Unavailable(format!(
                    "the keys of this database were wrapped by {}, which the configuration does not give",
                    row.kek_id,
                )));
            }
            let private = keks.unwrap(&row.wrapped, &aad(&row.id)).await?;
            let active = row.state == "active";
            match row.purpose {
                Purpose::Hash => hash = Some(hmac::Key::new(hmac::HMAC_SHA256, private.expose())),
                Purpose::Mac => {
                    let key = hmac::Key::new(hmac::HMAC_SHA256, private.expose());
                    if active {
                        mac = Some((row.id.clone(), key.clone()));
                    }
                    old_macs.insert(row.id, key);
                }
                Purpose::Token(alg) => {
                    let jwk = row.public.ok_or(Error::DoesNotOpen)?;
                    tokens.0.push(TokenKey {
                        key: Arc::new(SigningKey::open(row.id, alg, private, jwk)?),
                        active_from: row.active_from,
                        retired_at: row.retired_at,
                    });
                }
                Purpose::Log => {
                    let jwk = row.public.ok_or(Error::DoesNotOpen)?;
                    if active {
                        let alg = SigningAlg::EdDsa;
                        log = Some(SigningKey::open(row.id, alg, private, jwk)?);
                    }
                }
                Purpose::Vapid => {
                    let jwk = row.public.ok_or(Error::DoesNotOpen)?;
                    if active {
                        let alg = SigningAlg::Es256;
                        vapid = Some(SigningKey::open(row.id, alg, private, jwk)?);
                    }
                }
            }
        }
        let missing = || {
            Error::Unavailable(
                "the database lacks keys it should have; restore it from a backup".to_owned(),
            )
        };
        Ok(Self {
            deployment_id,
            hash: hash.ok_or_else(missing)?,
            mac: mac.ok_or_else(missing)?,
            old_macs,
            tokens: RwLock::new(Arc::new(tokens)),
            log: log.ok_or_else(missing)?,
            vapid: vapid.ok_or_else(missing)?,
            keks,
        })
    }

    /// Opens keys of tokens that were made since, here or elsewhere, and learns
    /// which are withdrawn.
    ///
    /// # Errors
    /// The database's; a key that does not open.
    pub(crate) async fn reload(&self, store: &Store) -> Result<(), Error> {
        let mut rx = store.reader().await?;
        if let Some(deployment) = rx.deployment().await? {
            // Another instance may have begun to wrap with another key.
            self.keks.wrap_with(deployment.wraps())?;
        }
        let rows = rx.keys().await?;
        drop(rx);
        let known = self.token_keys();
        let mut tokens = TokenKeys::default();
        for row in rows {
            let Purpose::Token(alg) = row.purpose else {
                continue;
            };
            let key = match known.0.iter().find(|known| known.key.kid == row.id) {
                Some(known) => known.key.clone(),
                None => {
                    let private = self.keks.unwrap(&row.wrapped, &aad(&row.id)).await?;
                    let jwk = row.public.ok_or(Error::DoesNotOpen)?;
                    Arc::new(SigningKey::open(row.id, alg, private, jwk)?)
                }
            };
            tokens.0.push(TokenKey {
                key,
                active_from: row.active_from,
                retired_at: row.retired_at,
            });
        }
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
        Ok(())
    }

    fn token_keys(&self) -> Arc<TokenKeys> {
        self.tokens
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Makes a key of tokens. Slow for RSA.
    pub(crate) fn make_token_key(
        alg: SigningAlg,
        rng: &dyn crate::ids::Rng,
    ) -> Result<NewTokenKey, Error> {
        let kid = format!(
            "key_{}",
            b64(&crate::ids::random::<12>(rng)).replace(['-', '_'], "x")
        );
        Ok(NewTokenKey {
            made: make(Purpose::Token(alg), &kid, rng)?,
            kid,
            alg,
        })
    }

    pub(crate) async fn wrap_token_key(&self, new: NewTokenKey) -> Result<WrappedTokenKey, Error> {
        let private = new.made.private.expose();
        let (wrapped, kek_id) = self.keks.wrap(private, &aad(&new.kid)).await?;
        Ok(WrappedTokenKey {
            wrapped,
            kek_id,
            kid: new.kid,
            alg: new.alg,
            public: new.made.public,
        })
    }

    async fn prepare(
        store: &Store,
        set: KeySet,
        rng: &dyn crate::ids::Rng,
    ) -> Result<(String, Keks), Error> {
        let there = store.reader().await?.deployment().await?;
        if let Some(deployment) = there {
            // While one gives way to the other, both have wrapped something.
            let keks = Keks::new(set.clone(), &deployment.kek_id)?;
            keks.wrap_with(deployment.wraps())?;
            Self::add_vapid(store, &keks, rng).await?;
            return Ok((deployment.id, keks));
        }
        let first = set.first.id().to_owned();
        let keks = Keks::new(set, &first)?;
        let mut made = Vec::new();
        for (position, purpose) in ALL.into_iter().enumerate() {
            made.push(make_wrapped(&keks, rng, position, purpose).await?);
        }
        let deployment = format!(
            "dep_{}",
            b64(&crate::ids::random::<16>(rng)).replace(['-', '_'], "x")
        );
        let (made, kek_id) = (Arc::new(made), first);
        let id = store
            .write(move |tx| {
                let (made, kek_id, deployment) = (made.clone(), kek_id.clone(), deployment.clone());
                Box::pin(async move {
                    // Another instance may have been first; then its keys count.
                    if let Some(first) = tx.deployment().await? {
                        return Ok(first.id);
                    }
                    let now = tx.now();
                    tx.execute(
                        "insert into deployment (id, deployment_id, kek_id, adopted_at, created_at) values ('self', $1, $2, $3, $3)",
                        vec![(&deployment).into(), (&kek_id).into(), now.into()],
                    )
                    .await?;
                    for key in made.iter() {
                        tx.insert_key(key).await?;
                    }
                    Ok::<_, storage::Error>(deployment)
                })
            })
            .await?;
        Ok((id, keks))
    }

    /// A database of a version that knew no Web Push gets the key for it.
    async fn add_vapid(store: &Store, keks: &Keks, rng: &dyn crate::ids::Rng) -> Result<(), Error> {
        let is_there = |rows: Vec<KeyRow>| rows.iter().any(|row| row.purpose == Purpose::Vapid);
        if is_there(store.reader().await?.keys().await?) {
            return Ok(());
        }
        let made = Arc::new(make_wrapped(keks, rng, ALL.len(), Purpose::Vapid).await?);
        store
            .write(move |tx| {
                let made = made.clone();
                Box::pin(async move {
                    // Another instance may be first; then its key counts.
                    tx.hold_keys().await?;
                    if !is_there(tx.keys().await?) {
                        tx.insert_key(&made).await?;
                    }
                    Ok::<_, storage::Error>(())
                })
            })
            .await?;
        Ok(())
    }

    /// This deployment's id.
    #[must_use]
    pub fn deployment_id(&self) -> &str {
        &self.deployment_id
    }

    /// The key-encryption keys, for data keys.
    #[must_use]
    pub const fn keks(&self) -> &Keks {
        &self.keks
    }

    /// Keyed hash for a look-up by token, secret or session id. `domain`
    /// separates the kinds, so that one can never stand for another.
    #[must_use]
    pub fn hash(&self, domain: &str, secret: &[u8]) -> [u8; 32] {
        tag(&self.hash, domain, secret)
    }

    /// A MAC over the bytes of a row, with the id of its key.
    #[must_use]
    pub fn mac(&self, table: &str, row: &[u8]) -> ([u8; 32], String) {
        (tag(&self.mac.1, table, row), self.mac.0.clone())
    }

    /// Whether a row's MAC is right.
    #[must_use]
    pub fn mac_holds(&self, table: &str, row: &[u8], mac: &[u8], key: &str) -> bool {
        self.old_macs.get(key).is_some_and(|key| {
            constant_time::verify_slices_are_equal(&tag(key, table, row), mac).is_ok()
        })
    }

    /// The key that signs tokens with this algorithm now (Unix milliseconds).
    ///
    /// # Errors
    /// When there is none.
    pub fn signing(&self, alg: SigningAlg, now: i64) -> Result<Arc<SigningKey>, Error> {
        self.token_keys()
            .signing(alg, now)
            .ok_or_else(|| Error::Unavailable(format!("there is no active {} key", alg.name())))
    }

    /// The key that signs checkpoints of the audit log.
    #[must_use]
    pub const fn log(&self) -> &SigningKey {
        &self.log
    }

    /// The key that push services know us by (RFC 8292).
    #[must_use]
    pub const fn vapid(&self) -> &SigningKey {
        &self.vapid
    }

    /// The key of tokens with this id, as long as what it signed counts.
    pub(crate) fn verifying(&self, kid: &str, now: i64) -> Option<Arc<SigningKey>> {
        self.token_keys().verifying(kid, now)
    }

    /// Public keys of tokens, for `/.well-known/jwks.json`.
    #[must_use]
    pub fn jwks(&self, now: i64) -> Vec<Jwk> {
        self.token_keys().jwks(now)
    }
}

fn tag(key: &hmac::Key, domain: &str, bytes: &[u8]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    context.update(domain.as_bytes());
    context.update(&[0]);
    context.update(bytes);
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}
