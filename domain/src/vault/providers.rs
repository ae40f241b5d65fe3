//! The catalogue of providers: data (`providers.toml`), read once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use url::Url;

/// A third-party service as a kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// `slack`, `google`, `salesforce`.
    pub id: String,
    /// The name people know it by.
    pub name: String,
    /// Where the provider documents what this entry says.
    pub source_page: Url,
    /// Against what the entry has run: `sandbox`, `emulate`, `real`, `unverified`.
    pub tried: String,
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
    /// How our client authenticates at the token endpoint.
    pub client_auth: ClientAuth,
    /// The shape of the token endpoint's answers.
    pub answer: AnswerShape,
    /// The parameter that carries the wanted scopes.
    pub scope_parameter: String,
    /// The parameter for a bot's scopes, where the provider tells bots from people.
    pub bot_scope_parameter: Option<String>,
    /// What separates scopes in that parameter.
    pub scope_separator: String,
    /// Whether a 401 to a call means that it was not carried out.
    #[serde(default)]
    pub unauthorized_means_not_executed: bool,
    /// Further parameters of the authorization request.
    #[serde(default)]
    pub authorize_parameters: BTreeMap<String, String>,
    /// Where the API is; the first is the default.
    #[serde(default)]
    pub hosts: Vec<Host>,
    /// Where the account's own API address is found, if it has one.
    pub instance: Option<Instance>,
    /// How to learn who it is.
    pub identity: Identity,
    /// What a refresh does, and how long tokens live.
    pub refresh: Refresh,
    /// How a grant is ended.
    pub revocation: Revocation,
    /// What the provider's error codes mean.
    pub errors: Errors,
    /// Known scopes.
    pub scopes: Vec<Scope>,
}

/// How our client authenticates (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// In the form.
    Post,
    /// HTTP Basic.
    Basic,
}

/// The shape of the token endpoint's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerShape {
    /// RFC 6749 §5.
    Rfc6749,
    /// Slack v2: 200 with `ok:false` for errors, the person's token nested in `authed_user`.
    Slack,
}

/// One API host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The name after `~` in the proxy's URLs.
    pub name: String,
    /// Where its paths begin.
    pub base: Url,
}

/// The account's own API address.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// JSON pointer into the token answer.
    pub pointer: String,
    /// Host names it may have; `*.` stands for any labels before.
    pub hosts: Vec<String>,
}

/// Where the account's identity comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityFrom {
    /// The token answer itself says who it is; the endpoint must agree and names them.
    TokenAnswer,
    /// The endpoint says.
    Endpoint,
    /// An address in the token answer says; it must lie at the token endpoint's origin.
    AnswerUrl,
}

/// How to learn who it is. Pointers are into the endpoint's answer (RFC 6901).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Where from.
    pub from: IdentityFrom,
    /// The endpoint.
    pub url: Option<Url>,
    /// GET or POST.
    pub method: String,
    /// Pointer to the address in the token answer (`answer_url`).
    pub pointer: Option<String>,
    /// The workspace or organisation; missing means none.
    pub tenant: String,
    /// The person.
    pub subject: String,
    /// What the person knows the account by; the first that is there.
    pub label: Vec<String>,
    /// The tenant's name, put behind the label.
    pub tenant_label: Option<String>,
}

/// What a refresh does to the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
}

/// What an answer without `expires_in` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbsentExpiry {
    /// The token does not expire by itself.
    Never,
    /// Assume `assume_seconds`.
    Assume,
}

/// Refreshing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// What happens to the refresh token.
    pub rule: RefreshRule,
    /// For how long the old one answers the same successor again.
    #[serde(default)]
    pub grace_seconds: i64,
    /// Days without use after which the grant lapses.
    pub idle_days: Option<i64>,
    /// What an answer without `expires_in` means.
    pub absent_expiry: AbsentExpiry,
    /// Seconds to assume then.
    #[serde(default)]
    pub assume_seconds: i64,
}

/// How a revocation is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationStyle {
    /// RFC 7009: the token in a form.
    Form,
    /// The access token as bearer revokes itself.
    Bearer,
}

/// How far a revocation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// That token (and what came with it).
    Token,
    /// Everything this person ever allowed our client.
    Grant,
}

/// Ending a grant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// How it is asked for.
    pub style: RevocationStyle,
    /// How far it reaches.
    pub reach: Reach,
}

/// What error codes mean.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Errors {
    /// The grant has ended.
    pub invalid_grant: Vec<String>,
    /// Our client id or secret is wrong.
    pub invalid_client: Vec<String>,
    /// The provider is unwell.
    pub down: Vec<String>,
    /// Too many requests.
    pub limited: Vec<String>,
    /// In an answer to a call: the grant has ended.
    pub ended: Vec<String>,
}

/// A scope in plain words.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Its name at the provider.
    pub name: String,
    /// What it allows, as a sentence without a full stop.
    pub words: String,
    /// Another name the provider answers it by.
    pub also: Option<String>,
    /// Whether it is asked for unless the connection says otherwise.
    #[serde(default)]
    pub default: bool,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    provider: Vec<Provider>,
}

static CATALOGUE: LazyLock<Vec<Provider>> = LazyLock::new(|| {
    // The text is part of this program; a test reads every entry.
    #[allow(clippy::expect_used, reason = "our own text, checked by a test")]
    toml::from_str::<Catalogue>(include_str!("providers.toml"))
        .expect("providers.toml is well formed")
        .provider
});

/// Every entry.
#[must_use]
pub fn catalogue() -> &'static [Provider] {
    &CATALOGUE
}

/// The entry of that id.
#[must_use]
pub fn provider(id: &str) -> Option<&'static Provider> {
    let found = catalogue().iter().find(|provider| provider.id == id);
    #[cfg(feature = "testing")]
    let found = found.or_else(|| stand_ins().iter().find(|entry| entry.id == id));
    found
}

/// Entries for tests: as Google's, but for what a refresh does, so that refresh
/// rules can be tried that no entry of the catalogue has, or none with a lookalike.
#[cfg(feature = "testing")]
#[must_use]
pub fn stand_ins() -> &'static [Provider] {
    static STAND_INS: LazyLock<Vec<Provider>> = LazyLock::new(|| {
        let rules = [
            ("stand-in-grace", RefreshRule::Rotates, 60),
            ("stand-in-rotates", RefreshRule::Rotates, 0),
            ("stand-in-strict", RefreshRule::RotatesStrictly, 0),
        ];
        let google = catalogue().iter().find(|entry| entry.id == "google");
        let entry = |(id, rule, grace_seconds): (&str, RefreshRule, i64)| {
            let mut entry = google?.clone();
            id.clone_into(&mut entry.id);
            entry.refresh.rule = rule;
            entry.refresh.grace_seconds = grace_seconds;
            Some(entry)
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
            ["slack", "google", "salesforce"]
        );
        for entry in catalogue() {
            assert!(!entry.default_scopes().is_empty(), "{}", entry.id);
            assert!(
                !entry.hosts.is_empty() || entry.instance.is_some(),
                "{}",
                entry.id
            );
            let found = match entry.identity.from {
                IdentityFrom::AnswerUrl => entry.identity.pointer.is_some(),
                IdentityFrom::TokenAnswer | IdentityFrom::Endpoint => entry.identity.url.is_some(),
            };
            assert!(found, "{}", entry.id);
            if entry.refresh.absent_expiry == AbsentExpiry::Assume {
                assert!(entry.refresh.assume_seconds > 0, "{}", entry.id);
            }
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
