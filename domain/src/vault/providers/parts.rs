//! What an entry says about endpoints, identity, errors and scopes.

use serde::{Deserialize, Serialize};
use url::Url;

/// How our client authenticates (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// In the form.
    Post,
    /// HTTP Basic.
    Basic,
}

/// How requests to the token endpoint are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenBody {
    /// A form (RFC 6749 §4.1.3).
    #[default]
    Form,
    /// A JSON object with the same members.
    Json,
}

/// The shape of the token endpoint's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerShape {
    /// RFC 6749 §5.
    #[default]
    Rfc6749,
    /// Slack v2: 200 with `ok:false` for errors, the person's token nested in `authed_user`.
    Slack,
    /// RFC 6749 §5 with two liberties of GitHub: errors have status 200, and
    /// answers are forms where the request did not ask for JSON.
    Github,
}

impl AnswerShape {
    /// Whether an error may come with status 200 without the provider being unwell.
    #[must_use]
    pub const fn errors_with_200(self) -> bool {
        matches!(self, Self::Slack | Self::Github)
    }
}

/// One API host.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The name after `~` in the proxy's URLs.
    pub name: String,
    /// Where its paths begin.
    pub base: Url,
}

/// The account's own API address.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// JSON pointer into the token answer.
    pub pointer: String,
    /// Host names it may have; `*.` stands for any labels before.
    pub hosts: Vec<String>,
    /// Whether an answer without it is good: the entry's host is meant then.
    #[serde(default)]
    pub optional: bool,
}

/// Where the account's identity comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityFrom {
    /// The token answer itself says who it is; the endpoint must agree and names them.
    TokenAnswer,
    /// The token answer says all of it; pointers are into that answer.
    Answer,
    /// The endpoint says.
    Endpoint,
    /// An address in the token answer says; it must lie at the token endpoint's
    /// origin or at one of `hosts`.
    AnswerUrl,
    /// The ID token in the token answer says, after its signature was checked
    /// (OpenID Connect Core §3.1.3.7); pointers are into its claims.
    IdToken,
    /// The introspection endpoint says (RFC 7662).
    Introspection,
}

/// How to learn who it is. Pointers are into the endpoint's answer (RFC 6901).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Where from.
    pub from: IdentityFrom,
    /// The endpoint.
    pub url: Option<Url>,
    /// GET or POST.
    #[serde(default = "get")]
    pub method: String,
    /// JSON that is posted there.
    pub body: Option<String>,
    /// Pointer to the address in the token answer (`answer_url`).
    pub pointer: Option<String>,
    /// Hosts that address may have beside the token endpoint's (`answer_url`).
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The workspace or organisation; missing means none.
    #[serde(default)]
    pub tenant: String,
    /// The same, where the app was installed for a whole organisation (Slack).
    pub org_tenant: Option<String>,
    /// The person.
    pub subject: String,
    /// What the person knows the account by; the first that is there.
    pub label: Vec<String>,
    /// The tenant's name, put behind the label.
    pub tenant_label: Option<String>,
    /// Where the sites that the grant covers are listed, if it may cover several.
    pub sites: Option<Sites>,
}

fn get() -> String {
    "GET".to_owned()
}

/// A list of sites that one grant covers. It names the account for people; it
/// is no part of the identity, because people add sites later.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sites {
    /// Answers an array.
    pub url: Url,
    /// Pointer to a site's name in an element.
    pub name: String,
}

/// Who signs the ID tokens, and with which keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdToken {
    /// `iss` of its tokens. `{tid}` stands for the claim of that name (Microsoft).
    pub issuer: String,
    /// Its keys (RFC 7517 §5).
    pub jwks: Url,
}

/// How a revocation is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationStyle {
    /// RFC 7009: the token in a form.
    #[default]
    Form,
    /// The token in a JSON object.
    Json,
    /// The access token as bearer revokes itself.
    Bearer,
    /// GitHub: DELETE on `{revoke}/{client id}/grant` with the access token in JSON.
    DeleteGrant,
}

/// How far a revocation reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// That token (and what came with it).
    #[default]
    Token,
    /// Everything this person ever allowed our client.
    Grant,
}

/// Ending a grant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Revocation {
    /// How it is asked for.
    pub style: RevocationStyle,
    /// How far it reaches.
    pub reach: Reach,
    /// Whether our client authenticates there, as at the token endpoint.
    pub authenticated: bool,
    /// Whether it takes access tokens only.
    pub access_token: bool,
    /// Whether access tokens that were given out live on until they run out.
    pub leaves_access: bool,
}

impl Revocation {
    /// Whether only an access token can be presented.
    #[must_use]
    pub const fn takes_access_token(&self) -> bool {
        self.access_token
            || matches!(
                self.style,
                RevocationStyle::Bearer | RevocationStyle::DeleteGrant
            )
    }
}

/// What error codes mean.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Errors {
    /// Pointers to the code in an answer; the first that is there.
    pub code: Vec<String>,
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

/// RFC 6749 §5.2 with the codes of §4.1.2.1 for a provider that is unwell.
impl Default for Errors {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            code: words(&["/error"]),
            invalid_grant: words(&["invalid_grant"]),
            invalid_client: words(&["invalid_client"]),
            down: words(&["server_error", "temporarily_unavailable"]),
            limited: Vec::new(),
            ended: Vec::new(),
        }
    }
}

/// A scope in plain words.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

/// What an encoded slash in a path is to a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncodedSlash {
    /// Nobody knows: a path with one does not pass the proxy.
    #[default]
    Refused,
    /// A character of its segment, never the end of one (GitLab's `group%2Fproject`).
    Data,
}

impl EncodedSlash {
    pub(super) fn is_refused(&self) -> bool {
        *self == Self::Refused
    }
}
