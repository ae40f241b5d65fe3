//! What an authorization gives first: a family, an access token of it, and by
//! scope a refresh token and an ID token. Every grant that a person stands
//! behind ends here.

use serde_json::Value;

use super::access::{self, Issue};
use super::clients::{Client, GrantType};
use super::error::OauthError;
use super::families::{ABSOLUTE_MS, Family, IDLE_MS};
use super::id_token::{self, IdToken, Pushed};
use super::token::TokenAnswer;
use crate::Engine;
use crate::audit::{Event, Kind};
use crate::identity::SignIn;
use crate::secret::Secret;
use crate::storage::{Error, Tx};

/// A family that begins, and the refresh token it begins with.
pub(super) struct First {
    family: Family,
    refresh: Option<Secret<String>>,
    details: Option<Value>,
}

/// What was authorized.
pub(super) struct Authorized {
    pub(super) family_id: String,
    pub(super) person_id: String,
    pub(super) approval_id: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) audience: String,
    /// `None` where what the person did is no sign-in.
    pub(super) sign_in: Option<SignIn>,
    /// The key that refresh tokens are bound to.
    pub(super) dpop_jkt: Option<String>,
    /// What was approved and is not ours to carry out: the first access token
    /// tells it to whoever enforces it, and no later one does (RFC 9396 §9.1).
    pub(super) details: Option<Value>,
}

impl First {
    /// A refresh token is among it with `offline_access`, where the client may use one.
    pub(super) fn new(engine: &Engine, client: &Client, of: Authorized) -> Self {
        let offline = of.scopes.iter().any(|scope| scope == "offline_access");
        let now = engine.now();
        Self {
            details: of.details,
            refresh: (offline && client.may(GrantType::RefreshToken))
                .then(|| engine.new_token("att_rt")),
            family: Family {
                id: of.family_id,
                client_id: client.id.clone(),
                person_id: Some(of.person_id),
                approval_id: of.approval_id,
                scopes: of.scopes,
                audience: of.audience,
                sign_in: of.sign_in,
                created_at: now,
                idle_expires_at: now + IDLE_MS,
                expires_at: now + ABSOLUTE_MS,
                last_used_at: None,
                revoked_at: None,
                dpop_jkt: of.dpop_jkt,
            },
        }
    }

    /// Keeps it, in the write that uses up what it was given for.
    pub(super) async fn keep(
        &self,
        tx: &mut Tx,
        engine: &Engine,
        grant: &'static str,
        approval: Option<&str>,
    ) -> Result<(), Error> {
        let family = &self.family;
        tx.insert_family(family).await?;
        if let Some(token) = &self.refresh {
            let hash = super::refresh::hash(engine, token.expose());
            tx.insert_refresh(hash, &family.id, None).await?;
        }
        let mut event = Event::new(Kind::TokenIssued)
            .person(family.person_id.as_deref().unwrap_or_default())
            .client(&family.client_id)
            .data("grant", grant)
            .data("audience", family.audience.as_str())
            .data("family", family.id.as_str());
        if let Some(approval) = approval {
            event = event.approval(approval);
        }
        tx.record(event);
        Ok(())
    }

    /// The family it begins.
    pub(super) fn family_id(&self) -> &str {
        &self.family.id
    }

    /// The tokens, once it is kept. `jkt` is the key the access token is bound to.
    pub(super) async fn answer(
        &self,
        engine: &Engine,
        client: &Client,
        nonce: Option<&str>,
        jkt: Option<&str>,
    ) -> Result<TokenAnswer, OauthError> {
        self.made(engine, client, nonce, jkt, None).await
    }

    /// The tokens as they are pushed for this request.
    pub(super) async fn pushed(
        &self,
        engine: &Engine,
        client: &Client,
        auth_req_id: &str,
    ) -> Result<TokenAnswer, OauthError> {
        let pushed = Pushed {
            auth_req_id,
            refresh_token: self.refresh.as_ref(),
        };
        self.made(engine, client, None, None, Some(pushed)).await
    }

    async fn made(
        &self,
        engine: &Engine,
        client: &Client,
        nonce: Option<&str>,
        jkt: Option<&str>,
        pushed: Option<Pushed<'_>>,
    ) -> Result<TokenAnswer, OauthError> {
        let family = &self.family;
        let access_token = access::issue(
            engine,
            &Issue {
                authorization_details: self.details.as_ref(),
                ..Issue::of(family, &family.scopes, &family.audience, jkt)
                    .acted_by(client.metadata.may_act.as_deref())
            },
        )?;
        let id_token = id_token::issue(
            engine,
            &IdToken {
                person_id: family.person_id.as_deref().unwrap_or_default(),
                client,
                scopes: &family.scopes,
                nonce,
                sign_in: family.sign_in,
                access_token: &access_token,
                pushed,
            },
        )
        .await?;
        Ok(TokenAnswer {
            refresh_token: self.refresh.clone(),
            id_token,
            ..TokenAnswer::of(access_token, family.scopes.clone()).bound(jkt.is_some())
        })
    }
}
