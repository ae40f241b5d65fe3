//! Refresh rules against faults: every cell's outcome, as data.
//!
//! A column is a way of refreshing, a row a fault of the sandbox that can strike
//! a refresh. `matrix_story.rs` plays every cell; `matrix_page.rs` writes the
//! table that people read.

use domain::vault::Reason;
use domain::vault::providers::{Provider as Entry, RefreshClass};
use sandbox::{Fault, Rotation, Target};

/// A way of refreshing: what the provider's entry says, and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// There is no refresh token.
    None,
    /// The refresh token stays good.
    Keeps,
    /// It would stay good, but a setting at the provider has it replaced.
    May,
    /// It is replaced; the old one stays good beside it.
    OldValid,
    /// It is replaced; for a while the old one answers the same successor.
    Grace,
    /// It is replaced; the old one is refused.
    Rotates,
    /// It is replaced; for a while the old one answers the same successor, and
    /// ends everything afterwards.
    StrictGrace,
    /// It is replaced; the old one ends everything.
    Strict,
}

impl Class {
    pub const ALL: [Self; 8] = [
        Self::Keeps,
        Self::May,
        Self::OldValid,
        Self::Grace,
        Self::Rotates,
        Self::StrictGrace,
        Self::Strict,
        Self::None,
    ];

    /// The column of an entry's class: every class has its own.
    pub fn of(entry: &Entry) -> Self {
        match entry.refresh.class() {
            RefreshClass::None => Self::None,
            RefreshClass::Keeps => Self::Keeps,
            RefreshClass::MayRotate => Self::May,
            RefreshClass::RotatesOldStaysValid => Self::OldValid,
            RefreshClass::RotatesWithGrace => Self::Grace,
            RefreshClass::Rotates => Self::Rotates,
            RefreshClass::RotatesStrictlyWithGrace => Self::StrictGrace,
            RefreshClass::RotatesStrictly => Self::Strict,
        }
    }

    /// How the page calls it.
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Keeps => "keeps",
            Self::May => "may rotate, and does",
            Self::OldValid => "rotates, old stays valid",
            Self::Grace => "rotates, grace",
            Self::Rotates => "rotates",
            Self::StrictGrace => "rotates strictly, grace",
            Self::Strict => "rotates strictly",
        }
    }

    /// What the lookalike does.
    pub fn rotation(self) -> Rotation {
        match self {
            Self::None | Self::Keeps => Rotation::Keeps,
            Self::OldValid => Rotation::OldStaysValid,
            Self::Grace => Rotation::Rotates { grace_seconds: 60 },
            Self::May | Self::Rotates => Rotation::Rotates { grace_seconds: 0 },
            Self::StrictGrace => Rotation::StrictAfterGrace { grace_seconds: 60 },
            Self::Strict => Rotation::Strict,
        }
    }
}

/// What becomes of a grant when a fault strikes its refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Refreshed, as if nothing had been.
    Renewed,
    /// Surely not carried out: asked again later.
    Waits,
    /// Perhaps carried out, and in truth it was not: asked again later.
    Unsure,
    /// Carried out and lost; the old refresh token brings it again.
    AskedAgain,
    /// Carried out and lost, for anybody.
    Lost,
    /// The provider has said that it is over.
    Ended,
    /// The provider refuses our client.
    Client(&'static str),
    /// The provider refuses for a reason of its own.
    Refused(&'static str),
    /// Refreshed; the successor was kept from us, and nobody can refresh again.
    Withheld,
    /// Refreshed; the token ends unannounced, and the next 401 tells.
    Unannounced,
    /// There is nothing to ask with.
    NeverAsked,
}

impl Outcome {
    pub const ALL: [Self; 11] = [
        Self::Renewed,
        Self::Waits,
        Self::Unsure,
        Self::AskedAgain,
        Self::Lost,
        Self::Ended,
        Self::Client(""),
        Self::Refused(""),
        Self::Withheld,
        Self::Unannounced,
        Self::NeverAsked,
    ];

    /// Whether the person must link again in the end.
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Lost => Some(Reason::AnswerLost),
            Self::Ended | Self::Withheld => Some(Reason::Revoked),
            _ => None,
        }
    }
}

use Outcome::{AskedAgain, Client, Ended, Lost, Refused, Renewed, Unsure, Waits, Withheld};

/// One fault, and its outcome for every way of refreshing.
pub struct Line {
    pub fault: Fault,
    /// How often it strikes in a row.
    pub strikes: u32,
    keeps: Outcome,
    old_valid: Outcome,
    grace: Outcome,
    rotates: Outcome,
    strict: Outcome,
}

impl Line {
    pub fn outcome(&self, class: Class) -> Outcome {
        match class {
            Class::None => Outcome::NeverAsked,
            Class::Keeps => self.keeps,
            Class::OldValid => self.old_valid,
            // Within the grace time, in which this table asks, they are one.
            Class::Grace | Class::StrictGrace => self.grace,
            Class::May | Class::Rotates => self.rotates,
            Class::Strict => self.strict,
        }
    }
}

/// The same for everybody, twice in a row: an outage lasts.
const fn all(fault: Fault, outcome: Outcome) -> Line {
    Line {
        fault,
        strikes: 2,
        keeps: outcome,
        old_valid: outcome,
        grace: outcome,
        rotates: outcome,
        strict: outcome,
    }
}

/// The work was done and its answer did not come, once.
const fn lost(fault: Fault) -> Line {
    Line {
        fault,
        strikes: 1,
        keeps: AskedAgain,
        old_valid: AskedAgain,
        grace: AskedAgain,
        rotates: Lost,
        strict: Lost,
    }
}

/// Nothing usable unless a refresh token came along, and with it all that counts.
const fn half(fault: Fault) -> Line {
    Line {
        fault,
        strikes: 1,
        keeps: AskedAgain,
        old_valid: Renewed,
        grace: Renewed,
        rotates: Renewed,
        strict: Renewed,
    }
}

/// Every fault that can strike a refresh.
pub const LINES: &[Line] = &[
    // What it does to the refresh token.
    all(Fault::StrictRotation, Renewed),
    all(Fault::RotationGrace { seconds: 60 }, Renewed),
    all(Fault::RefreshTokenKept, Renewed),
    all(Fault::SameRefreshToken, Renewed),
    all(Fault::EmptyRefreshToken, Renewed),
    Line {
        fault: Fault::RefreshTokenOmitted,
        strikes: 1,
        keeps: Renewed,
        old_valid: Renewed,
        grace: Withheld,
        rotates: Withheld,
        strict: Withheld,
    },
    all(Fault::RevokedByPerson, Ended),
    // The answer is lost, or another one comes.
    all(Fault::RequestLost, Unsure),
    all(Fault::ConnectionReset, Unsure),
    lost(Fault::AnswerLostAfterRotation),
    lost(Fault::ConnectionResetAfterRotation),
    lost(Fault::ClosedMidHeaders),
    lost(Fault::ErrorAfterRotation),
    lost(Fault::TimeoutAfterRotation),
    lost(Fault::HtmlAfterRotation),
    lost(Fault::EmptyBody),
    lost(Fault::NoContent),
    all(Fault::SlowAnswer { ms: 10 }, Renewed),
    all(Fault::SlowDrip { ms: 0 }, Renewed),
    // The service is unwell.
    all(Fault::RateLimited { retry_after: 2 }, Waits),
    all(Fault::RateLimitedUntil { seconds: 30 }, Waits),
    all(Fault::RateLimitedBare, Waits),
    all(Fault::ServerError, Unsure),
    all(Fault::BadGateway, Unsure),
    all(Fault::Unavailable, Unsure),
    all(Fault::GatewayTimeout, Unsure),
    all(Fault::MaintenancePage { retry_after: 30 }, Unsure),
    all(Fault::HtmlError, Unsure),
    all(Fault::HtmlPage, Unsure),
    all(Fault::OkFalse, Unsure),
    all(Fault::ErrorIn200, Unsure),
    all(Fault::ErrorAsText, Unsure),
    all(Fault::ErrorAsObject, Unsure),
    all(Fault::UnknownErrorCode, Refused("policy_says_no")),
    all(Fault::InvalidGrant { status: 200 }, Ended),
    all(Fault::InvalidGrant { status: 400 }, Ended),
    all(Fault::InvalidGrant { status: 401 }, Ended),
    all(Fault::InvalidGrant { status: 403 }, Ended),
    all(Fault::InvalidGrant { status: 500 }, Unsure),
    all(Fault::InvalidGrant { status: 503 }, Unsure),
    all(
        Fault::InvalidClient { status: 400 },
        Client("invalid_client"),
    ),
    all(
        Fault::InvalidClient { status: 401 },
        Client("invalid_client"),
    ),
    all(Fault::RotatedClientSecret, Client("invalid_client")),
    all(Fault::RedirectFound, Unsure),
    all(Fault::RedirectOnToken, Unsure),
    all(Fault::RedirectPermanent, Unsure),
    // The body is spoilt on its way.
    lost(Fault::TruncatedJson),
    half(Fault::CutShort { bytes: 3 }),
    lost(Fault::BodyCutOff),
    all(Fault::ChunkedWithoutEnd, Renewed),
    lost(Fault::HugeBody { mib: 1 }),
    lost(Fault::EndlessStream),
    all(Fault::HugeHeaders { kib: 32 }, Renewed),
    all(Fault::GzipUnasked, Renewed),
    all(Fault::ByteOrderMark, Renewed),
    all(Fault::Utf16, Renewed),
    all(Fault::WrongCharset, Renewed),
    all(Fault::WrongContentType, Renewed),
    all(Fault::FormEncoded, Renewed),
    all(Fault::DuplicateKeys, Renewed),
    all(Fault::TrailingGarbage, Renewed),
    all(Fault::NullError, Renewed),
    all(Fault::Continue100, Renewed),
    all(Fault::EarlyHints, Renewed),
    all(Fault::HopByHopHeaders, Renewed),
    all(Fault::KeepAliveClosed, Renewed),
    all(Fault::SetsCookie, Renewed),
    all(Fault::WrongClock { ahead: 7200 }, Renewed),
    // What the token answer says.
    all(Fault::NoExpiresIn, Renewed),
    all(Fault::ExpiresInText, Renewed),
    all(Fault::ExpiresInFloat, Renewed),
    all(Fault::ExpiresInWords, Renewed),
    all(Fault::ExpiresInNull, Renewed),
    all(Fault::ExpiresInZero, Renewed),
    all(Fault::ExpiresInNegative, Renewed),
    all(Fault::ExpiresInHuge, Renewed),
    all(Fault::ShortExpiry { seconds: 5 }, Renewed),
    all(Fault::CommaScopes, Renewed),
    all(Fault::ScopeList, Renewed),
    all(Fault::NoScope, Renewed),
    all(Fault::EmptyScope, Renewed),
    all(Fault::SubsetOfScopes, Renewed),
    all(Fault::ExtraScopes, Renewed),
    half(Fault::EmptyAccessToken),
    half(Fault::NoAccessToken),
    all(Fault::NoTokenType, Renewed),
    all(Fault::TokenTypeCase, Renewed),
    all(Fault::UnknownTokenType, Renewed),
    all(Fault::ChangedIdentity, Renewed),
];

/// Whether a fault can strike a refresh where it naturally goes.
pub fn concerns_a_refresh(fault: Fault) -> bool {
    matches!(
        fault.natural_target(),
        Target::Any | Target::Token | Target::Refresh | Target::TokenOrIdentity
    )
}

/// Where a provider's own ways make a cell other than its class's.
pub fn at(provider: &str, line: &Line, class: Class) -> Outcome {
    match (provider, line.fault, line.outcome(class)) {
        ("slack", _, Client(_)) => Client("bad_client_secret"),
        // It never says how long a session lives.
        ("salesforce", Fault::ShortExpiry { .. }, _) => Outcome::Unannounced,
        (_, _, outcome) => outcome,
    }
}
