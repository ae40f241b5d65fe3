//! Which requests a fault is for.

use std::fmt;
use std::str::FromStr;

use crate::wire::Call;

/// Which requests a fault or a gate is for. `/control/` and pages that are only shown are never hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Token endpoint, revocation, identity and API.
    Any,
    /// A person's yes or no on the consent page, and where it leads.
    Consent,
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
    const NAMES: [(Target, &str); 9] = [
        (Target::Any, "any"),
        (Target::Consent, "consent"),
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
            Target::Any => !matches!(call, Call::Page | Call::Consent),
            Target::Consent => call == Call::Consent,
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

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Target::NAMES
            .iter()
            .find(|(target, _)| target == self)
            .map_or("any", |(_, name)| name);
        f.write_str(name)
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
