//! Every way a provider can be made to misbehave.
//!
//! A fault has a stable kebab-case name, some with a number behind a colon (`slow-answer:250`). It is
//! aimed at a [`Target`]; without one it goes where it naturally belongs, so that a one-shot
//! `strict-rotation` is not used up by an API call.

mod struck;

use std::fmt;
use std::str::FromStr;

pub(crate) use struck::Struck;

use crate::config::Provider;
use crate::wire::Call;

/// One way to misbehave. The table in README.md says what each does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This refresh rotates; presenting the old refresh token again later revokes the family.
    StrictRotation,
    /// This refresh rotates; the old token answers the same successor again for so many seconds.
    RotationGrace { seconds: i64 },
    /// Does the work, then closes the connection without a byte.
    AnswerLostAfterRotation,
    /// Does the work, then answers 500.
    ErrorAfterRotation,
    /// Does the work, waits, then answers.
    SlowAnswer { ms: u64 },
    /// 429 with `Retry-After`.
    RateLimited { retry_after: u32 },
    /// 429 without `Retry-After`.
    RateLimitedBare,
    /// 500, nothing done.
    ServerError,
    /// 503, nothing done.
    Unavailable,
    /// 502 with an HTML page, nothing done.
    HtmlError,
    /// 200 with an HTML page (a captive portal), nothing done.
    HtmlPage,
    /// Does the work, then sends the first half of the JSON.
    TruncatedJson,
    /// Does the work, then sends an empty 200.
    EmptyBody,
    /// Does the work, then sends so many MiB of padding before the JSON, without `Content-Length`.
    HugeBody { mib: u32 },
    /// 200 with `{"ok":false,"error":"internal_error"}`, nothing done.
    OkFalse,
    /// 307 to `/elsewhere` (same method and body), nothing done.
    RedirectOnToken,
    /// The token answer has no `expires_in`; the token still expires.
    NoExpiresIn,
    /// The tokens of this answer live so many seconds.
    ShortExpiry { seconds: i64 },
    /// Scopes in the token answer are separated by commas.
    CommaScopes,
    /// Fewer scopes are granted than were asked for: the last one is left out.
    SubsetOfScopes,
    /// The person has revoked the app: everything behind the presented code or token ends here.
    RevokedByPerson,
    /// Identity answers (and identity fields in token answers) speak of a stranger.
    ChangedIdentity,
    /// The client secret has been rotated: `invalid_client`, whatever is presented.
    RotatedClientSecret,
    /// The access token counts as expired (Salesforce: `INVALID_SESSION_ID`).
    SessionExpired,
}

impl Fault {
    /// One of each, with the numbers that a bare name stands for.
    pub const ALL: [Fault; 24] = [
        Fault::StrictRotation,
        Fault::RotationGrace { seconds: 60 },
        Fault::AnswerLostAfterRotation,
        Fault::ErrorAfterRotation,
        Fault::SlowAnswer { ms: 1000 },
        Fault::RateLimited { retry_after: 2 },
        Fault::RateLimitedBare,
        Fault::ServerError,
        Fault::Unavailable,
        Fault::HtmlError,
        Fault::HtmlPage,
        Fault::TruncatedJson,
        Fault::EmptyBody,
        Fault::HugeBody { mib: 16 },
        Fault::OkFalse,
        Fault::RedirectOnToken,
        Fault::NoExpiresIn,
        Fault::ShortExpiry { seconds: 5 },
        Fault::CommaScopes,
        Fault::SubsetOfScopes,
        Fault::RevokedByPerson,
        Fault::ChangedIdentity,
        Fault::RotatedClientSecret,
        Fault::SessionExpired,
    ];

    /// The stable name, without its number.
    pub fn name(self) -> &'static str {
        match self {
            Fault::StrictRotation => "strict-rotation",
            Fault::RotationGrace { .. } => "rotation-grace",
            Fault::AnswerLostAfterRotation => "answer-lost-after-rotation",
            Fault::ErrorAfterRotation => "error-after-rotation",
            Fault::SlowAnswer { .. } => "slow-answer",
            Fault::RateLimited { .. } => "rate-limited",
            Fault::RateLimitedBare => "rate-limited-bare",
            Fault::ServerError => "server-error",
            Fault::Unavailable => "unavailable",
            Fault::HtmlError => "html-error",
            Fault::HtmlPage => "html-page",
            Fault::TruncatedJson => "truncated-json",
            Fault::EmptyBody => "empty-body",
            Fault::HugeBody { .. } => "huge-body",
            Fault::OkFalse => "ok-false",
            Fault::RedirectOnToken => "redirect-on-token",
            Fault::NoExpiresIn => "no-expires-in",
            Fault::ShortExpiry { .. } => "short-expiry",
            Fault::CommaScopes => "comma-scopes",
            Fault::SubsetOfScopes => "subset-of-scopes",
            Fault::RevokedByPerson => "revoked-by-person",
            Fault::ChangedIdentity => "changed-identity",
            Fault::RotatedClientSecret => "rotated-client-secret",
            Fault::SessionExpired => "session-expired",
        }
    }

    fn number(self) -> Option<i64> {
        match self {
            Fault::RotationGrace { seconds } | Fault::ShortExpiry { seconds } => Some(seconds),
            Fault::SlowAnswer { ms } => Some(ms as i64),
            Fault::RateLimited { retry_after } => Some(i64::from(retry_after)),
            Fault::HugeBody { mib } => Some(i64::from(mib)),
            _ => None,
        }
    }

    /// Where the fault goes when nobody says otherwise.
    pub fn natural_target(self) -> Target {
        match self {
            Fault::StrictRotation | Fault::RotationGrace { .. } => Target::Refresh,
            Fault::AnswerLostAfterRotation
            | Fault::ErrorAfterRotation
            | Fault::RedirectOnToken
            | Fault::NoExpiresIn
            | Fault::ShortExpiry { .. }
            | Fault::CommaScopes
            | Fault::SubsetOfScopes
            | Fault::RotatedClientSecret => Target::Token,
            Fault::ChangedIdentity => Target::TokenOrIdentity,
            Fault::SessionExpired => Target::Api,
            _ => Target::Any,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self.number() {
            Some(number) => write!(f, ":{number}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = match text.split_once(':') {
            Some((name, digits)) => {
                let number: u32 = digits
                    .parse()
                    .map_err(|_| format!("{digits:?} is not a whole number"))?;
                (name, Some(number))
            }
            None => (text, None),
        };
        let fault = Fault::ALL
            .into_iter()
            .find(|fault| fault.name() == name)
            .ok_or_else(|| format!("no fault is called {name:?}"))?;
        let Some(number) = number else {
            return Ok(fault);
        };
        match fault {
            Fault::RotationGrace { .. } => Ok(Fault::RotationGrace {
                seconds: number.into(),
            }),
            Fault::ShortExpiry { .. } => Ok(Fault::ShortExpiry {
                seconds: number.into(),
            }),
            Fault::SlowAnswer { .. } => Ok(Fault::SlowAnswer { ms: number.into() }),
            Fault::RateLimited { .. } => Ok(Fault::RateLimited {
                retry_after: number,
            }),
            Fault::HugeBody { .. } => Ok(Fault::HugeBody { mib: number }),
            _ => Err(format!("{name} takes no number")),
        }
    }
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    Once,
    N(u32),
    /// Until `Control::clear`.
    Always,
}

impl FromStr for Times {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "once" => Ok(Times::Once),
            "always" => Ok(Times::Always),
            number => number
                .parse()
                .map(Times::N)
                .map_err(|_| format!("times is once, always or a number, not {text:?}")),
        }
    }
}

/// Which requests a fault or a gate is for. Consent pages and `/control/` are never hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Token endpoint, revocation, identity and API.
    Any,
    /// The token endpoint, whatever the grant type.
    Token,
    /// The token endpoint with an authorization code.
    Code,
    /// The token endpoint with a refresh token.
    Refresh,
    Revoke,
    /// Who-am-I calls: `auth.test`, `userinfo`, Salesforce's identity URL.
    Identity,
    TokenOrIdentity,
    /// Every call made with an access token, who-am-I calls included.
    Api,
}

impl Target {
    const NAMES: [(Target, &str); 8] = [
        (Target::Any, "any"),
        (Target::Token, "token"),
        (Target::Code, "code"),
        (Target::Refresh, "refresh"),
        (Target::Revoke, "revoke"),
        (Target::Identity, "identity"),
        (Target::TokenOrIdentity, "token-or-identity"),
        (Target::Api, "api"),
    ];

    pub(crate) fn takes(self, call: Call) -> bool {
        match self {
            Target::Any => call != Call::Page,
            Target::Token => call.is_token(),
            Target::Code => call == Call::Code,
            Target::Refresh => call == Call::Refresh,
            Target::Revoke => call == Call::Revoke,
            Target::Identity => call == Call::Identity,
            Target::TokenOrIdentity => call.is_token() || call == Call::Identity,
            Target::Api => matches!(call, Call::Api | Call::Identity),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Target::NAMES
            .into_iter()
            .find(|(_, name)| *name == text)
            .map(|(target, _)| target)
            .ok_or_else(|| format!("no target is called {text:?}"))
    }
}

/// A fault that waits for its requests.
pub(crate) struct Armed {
    pub provider: Provider,
    pub target: Target,
    pub fault: Fault,
    pub times: Times,
}
