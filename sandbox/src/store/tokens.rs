//! Codes, tokens, families of tokens, and the rules they live by.
//!
//! A *family* is everything that came out of one authorization code for one holder: its access
//! tokens and the chain of its refresh tokens. Revocation and rotation act on families; the
//! lookalikes only differ in which ones.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::{Issued, State, TokenKind};
use crate::config::{Client, Provider, Rotation};
use crate::faults::{Fault, Struck};

/// Who a token speaks as. Only Slack tells bots from people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    User,
    Bot,
}

#[derive(Clone, Debug)]
pub(crate) struct Family {
    pub provider: Provider,
    pub client_id: String,
    pub person: usize,
    pub holder: Holder,
    pub scopes: Vec<String>,
    pub nonce: Option<String>,
    revoked: bool,
}

impl Family {
    pub fn new(code: &Code, provider: Provider, holder: Holder, scopes: Vec<String>) -> Family {
        Family {
            provider,
            client_id: code.client_id.clone(),
            person: code.person,
            holder,
            scopes,
            nonce: code.nonce.clone(),
            revoked: false,
        }
    }

    pub fn has_scope(&self, wanted: &[&str]) -> bool {
        self.scopes
            .iter()
            .any(|scope| wanted.contains(&scope.as_str()))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub client_id: String,
    pub redirect_uri: String,
    pub person: usize,
    pub scopes: Vec<String>,
    pub user_scopes: Vec<String>,
    /// PKCE S256 (RFC 7636 §4.2).
    pub challenge: Option<String>,
    pub nonce: Option<String>,
    /// Whether a refresh token comes with it; each lookalike decides in its own way.
    pub wants_refresh: bool,
    pub expires_at: i64,
    pub used: bool,
}

pub(super) struct Refresh {
    family: usize,
    retired: Option<Retired>,
}

struct Retired {
    successor: String,
    grace_until: i64,
    strict: bool,
}

pub(super) struct Access {
    family: usize,
    expires_at: Option<i64>,
    revoked: bool,
    issued_at: i64,
}

/// Why a code, token or client is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Unknown,
    Used,
    Expired,
    Revoked,
    OtherClient,
    OtherRedirect,
    BadVerifier,
    BadSecret,
}

/// A token that was presented and is good.
#[derive(Clone, Debug)]
pub(crate) struct Bearer {
    pub family_id: usize,
    pub family: Family,
    pub issued_at: i64,
    pub expires_at: Option<i64>,
}

impl State {
    // Clients and codes.

    pub fn client(&self, provider: Provider, client_id: &str) -> Option<&Client> {
        self.clients
            .iter()
            .find(|c| c.provider == provider && c.client_id == client_id)
    }

    /// The client's id, if the secret is its own.
    pub fn authenticate(
        &self,
        provider: Provider,
        (id, secret): (Option<String>, Option<String>),
        faults: &Struck,
    ) -> Result<String, Refused> {
        let client = id
            .and_then(|id| self.client(provider, &id))
            .ok_or(Refused::Unknown)?;
        if faults.has(Fault::RotatedClientSecret) || secret.as_ref() != Some(&client.client_secret)
        {
            return Err(Refused::BadSecret);
        }
        Ok(client.client_id.clone())
    }

    /// Takes a code (RFC 6749 §4.1.3): once, by its client, with its redirect URI and verifier.
    pub fn redeem(
        &mut self,
        provider: Provider,
        code: Option<&str>,
        client_id: &str,
        redirect_uri: Option<&str>,
        verifier: Option<&str>,
        now: i64,
    ) -> Result<Code, Refused> {
        let key = (provider, code.unwrap_or_default().to_owned());
        let code = self.codes.get_mut(&key).ok_or(Refused::Unknown)?;
        if code.client_id != client_id {
            return Err(Refused::OtherClient);
        }
        if code.used {
            return Err(Refused::Used);
        }
        if now >= code.expires_at {
            return Err(Refused::Expired);
        }
        if redirect_uri != Some(&code.redirect_uri) {
            return Err(Refused::OtherRedirect);
        }
        if let Some(challenge) = &code.challenge {
            let digest = Sha256::digest(verifier.unwrap_or_default());
            if BASE64_URL_SAFE_NO_PAD.encode(digest) != *challenge {
                return Err(Refused::BadVerifier);
            }
        }
        code.used = true;
        Ok(code.clone())
    }

    // Families and tokens.

    /// A new family. Under a cap, the oldest living ones of the same person, app and holder end.
    pub fn open_family(&mut self, family: Family, faults: &Struck) -> usize {
        if let Some(cap) = faults.cap() {
            let same = |other: &&mut Family| {
                !other.revoked
                    && other.provider == family.provider
                    && other.person == family.person
                    && other.client_id == family.client_id
                    && other.holder == family.holder
            };
            let living = self.families.iter_mut().filter(same).count();
            let over = (living + 1).saturating_sub(cap.max(1));
            for oldest in self.families.iter_mut().filter(same).take(over) {
                oldest.revoked = true;
            }
        }
        self.families.push(family);
        self.families.len() - 1
    }

    pub fn family(&self, id: usize) -> &Family {
        &self.families[id]
    }

    pub fn note(&mut self, provider: Provider, kind: TokenKind, person: usize, token: &str) {
        let email = self.emails[person].clone();
        self.issued.push(Issued {
            provider,
            kind,
            email,
            token: token.to_owned(),
        });
    }

    pub fn add_access(&mut self, family: usize, token: &str, now: i64, lifetime: Option<i64>) {
        let Family {
            provider, person, ..
        } = self.families[family];
        self.note(provider, TokenKind::Access, person, token);
        let expires_at = lifetime.map(|seconds| now + seconds * 1000);
        let access = Access {
            family,
            expires_at,
            revoked: false,
            issued_at: now,
        };
        self.access.insert((provider, token.to_owned()), access);
    }

    pub fn add_refresh(&mut self, family: usize, token: &str) {
        let Family {
            provider, person, ..
        } = self.families[family];
        self.note(provider, TokenKind::Refresh, person, token);
        self.refresh.insert(
            (provider, token.to_owned()),
            Refresh {
                family,
                retired: None,
            },
        );
    }

    /// Presents a refresh token. Answers its family and, where it rotates, the successor.
    pub fn present_refresh(
        &mut self,
        provider: Provider,
        token: Option<&str>,
        client_id: &str,
        faults: &Struck,
        now: i64,
        mint: impl FnOnce() -> String,
    ) -> Result<(usize, Option<String>), Refused> {
        let rotation = faults
            .rotation()
            .unwrap_or_else(|| self.rotation(provider, client_id));
        let key = (provider, token.unwrap_or_default().to_owned());
        let known = self.refresh.get(&key).ok_or(Refused::Unknown)?;
        let family = known.family;
        if self.families[family].client_id != client_id {
            return Err(Refused::OtherClient);
        }
        if faults.has(Fault::RevokedByPerson) {
            self.families[family].revoked = true;
        }
        if self.families[family].revoked {
            return Err(Refused::Revoked);
        }
        if let Some(retired) = &known.retired {
            let successor = retired.successor.clone();
            let unspent = |state: &State| {
                let next = state.refresh.get(&(provider, successor.clone()));
                next.is_some_and(|next| next.retired.is_none())
            };
            if now < retired.grace_until && unspent(self) {
                return Ok((family, Some(successor)));
            }
            if retired.strict {
                self.families[family].revoked = true;
            }
            return Err(Refused::Used);
        }
        let (grace_until, strict) = match rotation {
            Rotation::Keeps => return Ok((family, None)),
            Rotation::OldStaysValid => {
                let successor = mint();
                self.add_refresh(family, &successor);
                return Ok((family, Some(successor)));
            }
            Rotation::Rotates { grace_seconds } => (now + grace_seconds * 1000, false),
            Rotation::Strict => (now, true),
            Rotation::StrictAfterGrace { grace_seconds } => (now + grace_seconds * 1000, true),
        };
        let successor = mint();
        self.add_refresh(family, &successor);
        let retired = Retired {
            successor: successor.clone(),
            grace_until,
            strict,
        };
        self.refresh.insert(
            key,
            Refresh {
                family,
                retired: Some(retired),
            },
        );
        Ok((family, Some(successor)))
    }

    /// Presents an access token.
    pub fn present_access(
        &mut self,
        provider: Provider,
        token: &str,
        faults: &Struck,
        now: i64,
    ) -> Result<Bearer, Refused> {
        let key = (provider, token.to_owned());
        let access = self.access.get(&key).ok_or(Refused::Unknown)?;
        if faults.has(Fault::RevokedByPerson) {
            self.families[access.family].revoked = true;
        }
        let family = &self.families[access.family];
        if access.revoked || family.revoked {
            return Err(Refused::Revoked);
        }
        let expired = access.expires_at.is_some_and(|at| now >= at);
        if expired || faults.has(Fault::SessionExpired) {
            return Err(Refused::Expired);
        }
        Ok(Bearer {
            family_id: access.family,
            family: family.clone(),
            issued_at: access.issued_at,
            expires_at: access.expires_at,
        })
    }

    /// The family of a token of either kind, and whether it is a refresh token. Revoked ones too.
    pub fn family_of(&self, provider: Provider, token: &str) -> Option<(usize, bool)> {
        let key = (provider, token.to_owned());
        let refresh = self.refresh.get(&key).map(|refresh| (refresh.family, true));
        refresh.or_else(|| self.access.get(&key).map(|access| (access.family, false)))
    }

    pub fn is_revoked(&self, family: usize) -> bool {
        self.families[family].revoked
    }

    pub fn revoke_family(&mut self, family: usize) {
        self.families[family].revoked = true;
    }

    /// Revokes one access token only; its family goes on. Whether it was good before.
    pub fn revoke_access(&mut self, provider: Provider, token: &str) -> bool {
        let access = self.access.get_mut(&(provider, token.to_owned()));
        access.is_some_and(|access| !std::mem::replace(&mut access.revoked, true))
    }

    /// Ends everything a person allowed one client, and forgets the consent.
    pub fn revoke_authorisation(&mut self, provider: Provider, person: usize, client_id: &str) {
        self.consents
            .remove(&(provider, person, client_id.to_owned()));
        for family in &mut self.families {
            if family.provider == provider
                && family.person == person
                && family.client_id == client_id
            {
                family.revoked = true;
            }
        }
    }

    pub fn revoke_person(&mut self, provider: Provider, email: &str) -> usize {
        let Some(person) = self
            .emails
            .iter()
            .position(|known| known.eq_ignore_ascii_case(email))
        else {
            return 0;
        };
        self.consents
            .retain(|(p, who, _), _| (*p, *who) != (provider, person));
        let mut ended = 0;
        for family in &mut self.families {
            if family.provider == provider && family.person == person && !family.revoked {
                family.revoked = true;
                ended += 1;
            }
        }
        ended
    }

    pub fn expire_access_tokens(&mut self, provider: Provider, at: i64) {
        for ((p, _), access) in &mut self.access {
            if *p == provider {
                access.expires_at = Some(at);
            }
        }
    }
}
