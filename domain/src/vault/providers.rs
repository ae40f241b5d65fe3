//! The catalogue of providers: data (`providers.toml`), read once; and what an
//! entry is, also one that an admin added.

mod check;
mod generic;
mod parameters;
mod parts;
mod refresh;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use url::Url;

pub use check::{check, read};
pub use generic::{Generic, GenericIdentity};
pub use parameters::{Parameter, Part};
pub use parts::{
    AnswerShape, ClientAuth, EncodedSlash, Errors, Host, IdToken, Identity, IdentityFrom, Instance,
    Reach, Revocation, RevocationStyle, Scope, Sites, TokenBody,
};
pub use refresh::{AbsentExpiry, Refresh, RefreshClass, RefreshRule};

/// A third-party service as a kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// `slack`, `google`, `salesforce`.
    pub id: String,
    /// The name people know it by.
    pub name: String,
    /// Where the provider documents what this entry says.
    pub source_page: Url,
    /// Against what the entry has run: of `sandbox`, `emulate`, `real`, or `unverified`.
    #[serde(default = "unverified")]
    pub tried: String,
    /// What is unusual about it, each as a sentence.
    #[serde(default)]
    pub quirks: Vec<String>,
    /// What could not be found in its documentation, each as a sentence.
    #[serde(default)]
    pub unsure: Vec<String>,
    /// The authorization endpoint.
    pub authorize: Url,
    /// Where the authorization endpoint may send a browser on to before it shows
    /// a page, as sources of the directive `form-action` (CSP level 3).
    #[serde(default)]
    pub authorize_hops: Vec<String>,
    /// The token endpoint.
    pub token: Url,
    /// The revocation endpoint, where there is one.
    pub revoke: Option<Url>,
    /// What a connection may say about these addresses.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// How our client authenticates at the token endpoint.
    pub client_auth: ClientAuth,
    /// How requests to the token endpoint are written.
    #[serde(default)]
    pub token_body: TokenBody,
    /// The shape of the token endpoint's answers.
    #[serde(default)]
    pub answer: AnswerShape,
    /// Whether it takes a code challenge (RFC 7636, S256).
    #[serde(default = "yes")]
    pub pkce: bool,
    /// The parameter that carries the wanted scopes.
    #[serde(default = "scope")]
    pub scope_parameter: String,
    /// The parameter for a bot's scopes, where the provider tells bots from people.
    pub bot_scope_parameter: Option<String>,
    /// What separates scopes in that parameter.
    #[serde(default = "space")]
    pub scope_separator: String,
    /// Whether a 401 to a call means that it was not carried out.
    #[serde(default)]
    pub unauthorized_means_not_executed: bool,
    /// What an encoded slash (`%2F`) in a path of its API is.
    #[serde(default, skip_serializing_if = "EncodedSlash::is_refused")]
    pub encoded_slash: EncodedSlash,
    /// Further parameters of the authorization request.
    #[serde(default)]
    pub authorize_parameters: BTreeMap<String, String>,
    /// Further headers at the token, identity and revocation endpoints.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Where the API is; the first is the default.
    #[serde(default)]
    pub hosts: Vec<Host>,
    /// Where the account's own API address is found, if it has one.
    pub instance: Option<Instance>,
    /// How to learn who it is.
    pub identity: Identity,
    /// Who signs its ID tokens.
    pub id_token: Option<IdToken>,
    /// What a refresh does, and how long tokens live.
    pub refresh: Refresh,
    /// How a grant is ended.
    #[serde(default)]
    pub revocation: Revocation,
    /// What the provider's error codes mean.
    #[serde(default)]
    pub errors: Errors,
    /// Known scopes.
    #[serde(default)]
    pub scopes: Vec<Scope>,
}

fn unverified() -> String {
    "unverified".to_owned()
}

const fn yes() -> bool {
    true
}

fn scope() -> String {
    "scope".to_owned()
}

fn space() -> String {
    " ".to_owned()
}

impl Provider {
    /// What a scope allows, as a sentence; the bare name where nobody wrote one.
    #[must_use]
    pub fn words<'a>(&'a self, scope: &'a str) -> &'a str {
        self.scopes
            .iter()
            .find(|known| known.name == scope || known.also.as_deref() == Some(scope))
            .map_or(scope, |known| known.words.as_str())
    }

    /// The scopes asked for unless a connection says otherwise.
    #[must_use]
    pub fn default_scopes(&self) -> Vec<String> {
        self.scopes
            .iter()
            .filter(|scope| scope.default)
            .map(|scope| scope.name.clone())
            .collect()
    }

    /// Whether `granted` covers `wanted`, knowing both names of a scope.
    #[must_use]
    pub fn covers(&self, granted: &[String], wanted: &str) -> bool {
        let other = self.scopes.iter().find_map(|scope| match &scope.also {
            Some(also) if scope.name == wanted => Some(also.as_str()),
            Some(also) if also == wanted => Some(scope.name.as_str()),
            _ => None,
        });
        granted
            .iter()
            .any(|scope| scope == wanted || Some(scope.as_str()) == other)
    }
}

static CATALOGUE: LazyLock<Vec<Arc<Provider>>> = LazyLock::new(|| {
    // The text is part of this program; a test reads every entry.
    #[allow(clippy::expect_used, reason = "our own text, checked by a test")]
    read(include_str!("providers.toml"))
        .expect("providers.toml is well formed")
        .into_iter()
        .map(Arc::new)
        .collect()
});

/// Every entry that comes with this program.
#[must_use]
pub fn catalogue() -> &'static [Arc<Provider>] {
    &CATALOGUE
}

/// The entry of that id.
#[must_use]
pub fn provider(id: &str) -> Option<&'static Provider> {
    shared_ref(id).map(|provider| &**provider)
}

/// As [`provider`], to be kept.
pub(super) fn shared(id: &str) -> Option<Arc<Provider>> {
    shared_ref(id).cloned()
}

fn shared_ref(id: &str) -> Option<&'static Arc<Provider>> {
    let found = catalogue().iter().find(|provider| provider.id == id);
    #[cfg(feature = "testing")]
    let found = found.or_else(|| stand_ins().iter().find(|entry| entry.id == id));
    found
}

/// Entries for tests: as Google's, but for what a refresh does, so that refresh
/// rules can be tried that no entry of the catalogue has, or none with a lookalike.
#[cfg(feature = "testing")]
#[must_use]
pub fn stand_ins() -> &'static [Arc<Provider>] {
    static STAND_INS: LazyLock<Vec<Arc<Provider>>> = LazyLock::new(|| {
        let rules = [
            ("stand-in-old-valid", RefreshRule::RotatesOldStaysValid, 0),
            ("stand-in-grace", RefreshRule::Rotates, 60),
            ("stand-in-rotates", RefreshRule::Rotates, 0),
            ("stand-in-strict-grace", RefreshRule::RotatesStrictly, 60),
            ("stand-in-strict", RefreshRule::RotatesStrictly, 0),
        ];
        let google = catalogue().iter().find(|entry| entry.id == "google");
        let entry = |(id, rule, grace_seconds): (&str, RefreshRule, i64)| {
            let mut entry = Provider::clone(google?);
            id.clone_into(&mut entry.id);
            entry.refresh.rule = rule;
            entry.refresh.grace_seconds = grace_seconds;
            Some(Arc::new(entry))
        };
        rules.into_iter().filter_map(entry).collect()
    });
    &STAND_INS
}

/// Whether a host name fits a pattern (`*.salesforce.com`, or a name as it is).
#[must_use]
pub(super) fn host_fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => host
            .strip_suffix(parent)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|rest| !rest.is_empty()),
        None => pattern == host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_can_be_read_and_is_complete() {
        assert_eq!(
            catalogue()
                .iter()
                .map(|entry| entry.id.as_str())
                .collect::<Vec<_>>(),
            [
                "slack",
                "google",
                "salesforce",
                "microsoft",
                "github",
                "gitlab",
                "notion",
                "linear",
                "atlassian",
                "hubspot",
                "zoom",
                "dropbox"
            ]
        );
        for entry in catalogue() {
            assert_eq!(check(entry), Vec::<String>::new(), "{}", entry.id);
            assert!(!entry.quirks.is_empty(), "{}", entry.id);
        }
    }

    #[test]
    fn a_host_pattern_takes_subdomains_and_nothing_else() {
        assert!(host_fits("*.salesforce.com", "acme.my.salesforce.com"));
        for other in [
            "salesforce.com",
            ".salesforce.com",
            "evilsalesforce.com",
            "salesforce.com.evil.example",
        ] {
            assert!(!host_fits("*.salesforce.com", other), "{other}");
        }
    }

    #[test]
    fn a_scope_is_covered_under_either_of_its_names() {
        let google = provider("google").unwrap();
        let granted = ["https://www.googleapis.com/auth/userinfo.email".to_owned()];
        assert!(google.covers(&granted, "email"));
        assert!(!google.covers(&granted, "profile"));
        assert_eq!(google.words(&granted[0]), "See your email address");
    }
}
