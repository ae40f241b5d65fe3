//! What a refresh does to a refresh token, and what that means when an answer is lost.

use serde::{Deserialize, Serialize};

/// What a refresh does to the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshRule {
    /// There are no refresh tokens.
    None,
    /// It stays good.
    Keeps,
    /// A new one comes; the old one is spent (after a grace time).
    Rotates,
    /// A new one comes; the old one presented again ends everything.
    RotatesStrictly,
    /// A new one comes; the old one stays good until its own end.
    RotatesOldStaysValid,
}

/// What an answer without `expires_in` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbsentExpiry {
    /// The token does not expire by itself.
    Never,
    /// Assume `assume_seconds`.
    Assume,
}

/// Refreshing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// What happens to the refresh token.
    pub rule: RefreshRule,
    /// Whether a setting of the app at the provider turns `keeps` into `rotates`,
    /// so that a lost answer may have spent the token.
    #[serde(default)]
    pub may_rotate: bool,
    /// For how long the old one is answered again.
    #[serde(default)]
    pub grace_seconds: i64,
    /// Whether a refresh ends the access token before.
    #[serde(default)]
    pub ends_old_access: bool,
    /// Days without use after which the grant lapses.
    pub idle_days: Option<i64>,
    /// Days after which the grant ends however it is used.
    pub lifetime_days: Option<i64>,
    /// How many refresh tokens one account may have for our client; the oldest
    /// ends without a word when there are more.
    pub token_limit: Option<i64>,
    /// What an answer without `expires_in` means.
    pub absent_expiry: AbsentExpiry,
    /// Seconds to assume then.
    #[serde(default)]
    pub assume_seconds: i64,
}

/// Providers that behave alike when an answer to a refresh is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefreshClass {
    /// Nothing is refreshed.
    None,
    /// The same token again, any number of times.
    Keeps,
    /// The same token again, unless a setting at the provider rotates it.
    MayRotate,
    /// A new token; the old one goes on working.
    RotatesOldStaysValid,
    /// A new token; the old one is answered for a while.
    RotatesWithGrace,
    /// A new token; the old one is spent at once.
    Rotates,
    /// A new token; the old one is answered for a while, and presented later ends everything.
    RotatesStrictlyWithGrace,
    /// A new token; the old one presented again ends everything.
    RotatesStrictly,
}

impl RefreshClass {
    /// Every class, the mildest first.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Keeps,
        Self::MayRotate,
        Self::RotatesOldStaysValid,
        Self::RotatesWithGrace,
        Self::Rotates,
        Self::RotatesStrictlyWithGrace,
        Self::RotatesStrictly,
    ];

    /// Its name in documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Keeps => "keeps",
            Self::MayRotate => "may-rotate",
            Self::RotatesOldStaysValid => "rotates-old-still-valid",
            Self::RotatesWithGrace => "rotates-with-grace",
            Self::Rotates => "rotates",
            Self::RotatesStrictlyWithGrace => "rotates-strictly-with-grace",
            Self::RotatesStrictly => "rotates-strictly",
        }
    }

    /// What a refresh does, as a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::None => "There is nothing to refresh with.",
            Self::Keeps => "A refresh leaves the refresh token as it is.",
            Self::MayRotate => {
                "A refresh leaves the refresh token as it is, unless the app at the provider is set to rotate it: \
                 then a new one comes and the old one is spent."
            }
            Self::RotatesOldStaysValid => {
                "A refresh brings a new refresh token, and the old one goes on working until it ends by itself."
            }
            Self::RotatesWithGrace => {
                "A refresh brings a new refresh token; the old one is answered again for a while and is spent then."
            }
            Self::Rotates => "A refresh brings a new refresh token, and the old one is spent.",
            Self::RotatesStrictlyWithGrace => {
                "A refresh brings a new refresh token; the old one is answered again for a while, and presented \
                 later than that it ends the whole grant."
            }
            Self::RotatesStrictly => {
                "A refresh brings a new refresh token; the old one presented again ends the whole grant."
            }
        }
    }
}

impl Refresh {
    /// Which providers this one behaves like.
    #[must_use]
    pub const fn class(&self) -> RefreshClass {
        match (self.rule, self.grace_seconds > 0) {
            (RefreshRule::None, _) => RefreshClass::None,
            (RefreshRule::Keeps, _) if self.may_rotate => RefreshClass::MayRotate,
            (RefreshRule::Keeps, _) => RefreshClass::Keeps,
            (RefreshRule::RotatesOldStaysValid, _) => RefreshClass::RotatesOldStaysValid,
            (RefreshRule::Rotates, true) => RefreshClass::RotatesWithGrace,
            (RefreshRule::Rotates, false) => RefreshClass::Rotates,
            (RefreshRule::RotatesStrictly, true) => RefreshClass::RotatesStrictlyWithGrace,
            (RefreshRule::RotatesStrictly, false) => RefreshClass::RotatesStrictly,
        }
    }

    /// Whether the provider, by answering, may spend the token that was
    /// presented, so that a lost answer can be what ended a grant.
    #[must_use]
    pub const fn may_spend(&self) -> bool {
        match self.rule {
            RefreshRule::None | RefreshRule::RotatesOldStaysValid => false,
            RefreshRule::Keeps => self.may_rotate,
            RefreshRule::Rotates | RefreshRule::RotatesStrictly => true,
        }
    }
}
