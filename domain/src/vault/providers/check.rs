//! Whether an entry is complete and makes sense, in sentences.

use serde::Deserialize;
use url::Url;

use super::{AbsentExpiry, IdentityFrom, Part, Provider, RefreshRule, RevocationStyle};

/// Words that `tried` may have.
const TRIED: [&str; 4] = ["sandbox", "emulate", "real", "unverified"];
/// What an authorization request carries anyway.
const RESERVED: [&str; 8] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "state",
    "nonce",
    "scope",
    "code_challenge",
    "code_challenge_method",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    #[serde(alias = "providers")]
    provider: Vec<Provider>,
}

/// Reads entries as `providers.toml` has them, or a configuration file's
/// `[[providers]]` alone.
///
/// # Errors
/// What is wrong and where, as the TOML reader says it.
pub fn read(text: &str) -> Result<Vec<Provider>, String> {
    toml::from_str::<Entries>(text)
        .map(|entries| entries.provider)
        .map_err(|error| error.to_string())
}

/// What is wrong with an entry, each as a sentence; nothing when it is good.
#[must_use]
pub fn check(entry: &Provider) -> Vec<String> {
    let mut wrong = Wrong(Vec::new());
    names(entry, &mut wrong);
    addresses(entry, &mut wrong);
    parameters(entry, &mut wrong);
    identity(entry, &mut wrong);
    refresh(entry, &mut wrong);
    endings(entry, &mut wrong);
    scopes(entry, &mut wrong);
    wrong.0
}

struct Wrong(Vec<String>);

impl Wrong {
    fn unless(&mut self, good: bool, sentence: impl FnOnce() -> String) {
        if !good {
            self.0.push(sentence());
        }
    }
}

fn names(entry: &Provider, wrong: &mut Wrong) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    wrong.unless(
        !entry.id.is_empty() && entry.id.len() <= 64 && entry.id.chars().all(plain),
        || {
            format!(
                "The id {:?} is not up to 64 lower-case letters, digits and hyphens.",
                entry.id
            )
        },
    );
    wrong.unless(
        !entry.name.trim().is_empty() && !entry.name.chars().any(char::is_control),
        || "The name is empty.".to_owned(),
    );
    wrong.unless(is_safe(&entry.source_page), || {
        format!(
            "The source page {} is not an https page.",
            entry.source_page
        )
    });
    let tried: Vec<&str> = entry.tried.split(", ").collect();
    wrong.unless(
        tried.iter().all(|word| TRIED.contains(word))
            && (tried.len() == 1 || !tried.contains(&"unverified")),
        || {
            format!(
                "`tried` is {:?}; it may be unverified, or any of sandbox, emulate and real.",
                entry.tried
            )
        },
    );
    for sentence in entry.quirks.iter().chain(&entry.unsure) {
        wrong.unless(sentence.ends_with('.'), || {
            format!("{sentence:?} is not a sentence: it lacks its full stop.")
        });
    }
}

/// Every address that a browser or a credential is sent to.
fn named(entry: &Provider) -> Vec<(String, &Url)> {
    let mut all = vec![
        ("authorization".to_owned(), &entry.authorize),
        ("token".to_owned(), &entry.token),
    ];
    all.extend(
        entry
            .revoke
            .as_ref()
            .map(|url| ("revocation".to_owned(), url)),
    );
    all.extend(
        entry
            .identity
            .url
            .as_ref()
            .map(|url| ("identity".to_owned(), url)),
    );
    all.extend(
        entry
            .identity
            .sites
            .as_ref()
            .map(|sites| ("sites".to_owned(), &sites.url)),
    );
    all.extend(
        entry
            .id_token
            .as_ref()
            .map(|id_token| ("key set".to_owned(), &id_token.jwks)),
    );
    all.extend(
        entry
            .hosts
            .iter()
            .map(|host| (format!("API ({})", host.name), &host.base)),
    );
    all
}

/// The last two labels of a host: who registered it, roughly.
fn domain(url: &Url) -> &str {
    let host = url.host_str().unwrap_or_default();
    let mut dots = host.rmatch_indices('.').map(|(at, _)| at);
    match dots.nth(1) {
        Some(at) => &host[at + 1..],
        None => host,
    }
}

/// Whether it is https, or http to this very machine (a lookalike).
fn is_safe(url: &Url) -> bool {
    let local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    url.scheme() == "https" || url.scheme() == "http" && local
}

fn addresses(entry: &Provider, wrong: &mut Wrong) {
    for (what, url) in named(entry) {
        wrong.unless(is_safe(url), || {
            format!("The {what} address {url} is not https.")
        });
        wrong.unless(
            url.username().is_empty()
                && url.password().is_none()
                && url.fragment().is_none()
                && url.query().is_none(),
            || format!("The {what} address {url} carries a user, a query or a fragment."),
        );
    }
    for hop in &entry.authorize_hops {
        let origin = hop
            .strip_prefix("https://")
            .is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', '?', '#', ' ', ';']));
        wrong.unless(origin, || {
            format!("The hop {hop:?} is not an https origin without a path.")
        });
    }
    wrong.unless(!entry.hosts.is_empty() || entry.instance.is_some(), || {
        "There is no API host, so no call could be made.".to_owned()
    });
    for (at, host) in entry.hosts.iter().enumerate() {
        wrong.unless(
            entry.hosts[..at]
                .iter()
                .all(|other| other.name != host.name),
            || format!("Two API hosts are called {:?}.", host.name),
        );
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        wrong.unless(
            !host.name.is_empty() && host.name.chars().all(plain),
            || {
                format!(
                    "The API host name {:?} does not fit in an address.",
                    host.name
                )
            },
        );
    }
    // The access token is sent to these: somebody who owns neither the token
    // endpoint nor an API would get it.
    let ours: Vec<&str> = std::iter::once(&entry.token)
        .chain(entry.hosts.iter().map(|host| &host.base))
        .map(domain)
        .collect();
    for (what, url) in [
        ("identity", entry.identity.url.as_ref()),
        ("revocation", entry.revoke.as_ref()),
    ] {
        if let Some(url) = url {
            wrong.unless(ours.contains(&domain(url)), || {
                format!(
                    "The {what} address {url} is sent tokens, but neither the token endpoint nor an API host is in \
                     the domain {}.",
                    domain(url)
                )
            });
        }
    }
    let patterns = entry.instance.iter().flat_map(|instance| &instance.hosts);
    for pattern in patterns.chain(&entry.identity.hosts) {
        let name = pattern.strip_prefix("*.").unwrap_or(pattern);
        wrong.unless(
            name.contains('.') && !name.contains(['*', '/', ':']),
            || format!("The host pattern {pattern:?} is no host name, or holds everybody's."),
        );
    }
    for name in entry.authorize_parameters.keys() {
        wrong.unless(
            !RESERVED.contains(&name.as_str())
                && *name != entry.scope_parameter
                && Some(name) != entry.bot_scope_parameter.as_ref(),
            || format!("The parameter {name} is set by Attorn itself."),
        );
    }
    for (name, value) in &entry.headers {
        let lower = name.to_ascii_lowercase();
        wrong.unless(
            http::HeaderName::try_from(lower.as_str()).is_ok()
                && http::HeaderValue::try_from(value.as_str()).is_ok(),
            || format!("{name:?} is no header, or its value is none."),
        );
        let ours = [
            "authorization",
            "cookie",
            "host",
            "content-length",
            "content-type",
        ];
        wrong.unless(!ours.contains(&lower.as_str()), || {
            format!("The header {name} is set by Attorn itself.")
        });
    }
}

fn parameters(entry: &Provider, wrong: &mut Wrong) {
    for parameter in &entry.parameters {
        let there = |url: &Url| match parameter.part {
            Part::Host => url.host_str() == Some(&parameter.default),
            Part::Path => url.path().split('/').any(|part| part == parameter.default),
        };
        wrong.unless(named(entry).iter().any(|(_, url)| there(url)), || {
            format!(
                "The setting {} stands for {:?}, which is in no address.",
                parameter.name, parameter.default
            )
        });
        wrong.unless(
            (parameter.part == Part::Host) != parameter.allow.is_empty(),
            || {
                format!(
                    "The setting {} must say which hosts are allowed, and only if it is a host.",
                    parameter.name
                )
            },
        );
        says(
            &parameter.words,
            &format!("The setting {}", parameter.name),
            wrong,
        );
    }
}

fn identity(entry: &Provider, wrong: &mut Wrong) {
    let identity = &entry.identity;
    let asks = match identity.from {
        IdentityFrom::TokenAnswer | IdentityFrom::Endpoint | IdentityFrom::Introspection => true,
        IdentityFrom::Answer | IdentityFrom::AnswerUrl | IdentityFrom::IdToken => false,
    };
    wrong.unless(!asks || identity.url.is_some(), || {
        "The identity comes from an endpoint, but there is no address of one.".to_owned()
    });
    wrong.unless(asks || identity.url.is_none(), || {
        "There is an identity endpoint that is never asked.".to_owned()
    });
    wrong.unless(
        (identity.from == IdentityFrom::AnswerUrl) == identity.pointer.is_some(),
        || "`pointer` and `from = \"answer_url\"` go together.".to_owned(),
    );
    wrong.unless(
        (identity.from == IdentityFrom::IdToken) == entry.id_token.is_some(),
        || "`id_token` and `from = \"id_token\"` go together.".to_owned(),
    );
    wrong.unless(matches!(identity.method.as_str(), "GET" | "POST"), || {
        format!(
            "The identity endpoint is asked with {:?}; only GET and POST are known.",
            identity.method
        )
    });
    if let Some(body) = &identity.body {
        wrong.unless(
            identity.method == "POST" && serde_json::from_str::<serde_json::Value>(body).is_ok(),
            || "The body for the identity endpoint is no JSON, or is not posted.".to_owned(),
        );
    }
    wrong.unless(!identity.label.is_empty(), || {
        "Nothing says what people know an account by (label).".to_owned()
    });
    let sites = identity.sites.as_ref().map(|sites| &sites.name);
    let instance = entry.instance.as_ref().map(|instance| &instance.pointer);
    let pointers = std::iter::once(&identity.subject)
        .chain(Some(&identity.tenant).filter(|tenant| !tenant.is_empty()))
        .chain(&identity.label)
        .chain(&identity.pointer)
        .chain(&identity.org_tenant)
        .chain(&identity.tenant_label)
        .chain(&entry.errors.code)
        .chain(sites)
        .chain(instance);
    for pointer in pointers {
        wrong.unless(pointer.starts_with('/'), || {
            format!("{pointer:?} is no JSON pointer: it begins with a slash.")
        });
    }
}

fn refresh(entry: &Provider, wrong: &mut Wrong) {
    let refresh = &entry.refresh;
    let rotates = matches!(
        refresh.rule,
        RefreshRule::Rotates | RefreshRule::RotatesStrictly
    );
    wrong.unless(rotates || refresh.grace_seconds == 0, || {
        "A grace time makes sense only where refresh tokens rotate and end.".to_owned()
    });
    wrong.unless((0..=86_400).contains(&refresh.grace_seconds), || {
        "The grace time is not between no seconds and a day.".to_owned()
    });
    wrong.unless(
        !refresh.may_rotate || refresh.rule == RefreshRule::Keeps,
        || "`may_rotate` belongs to the rule `keeps`.".to_owned(),
    );
    let none = refresh.rule == RefreshRule::None;
    let days = refresh.idle_days.is_some() || refresh.lifetime_days.is_some();
    wrong.unless(!none || !days, || {
        "Without refresh tokens nothing lapses after days.".to_owned()
    });
    let positive = [
        refresh.idle_days,
        refresh.lifetime_days,
        refresh.token_limit,
    ];
    wrong.unless(
        positive.into_iter().flatten().all(|number| number > 0),
        || "Days and limits are more than none.".to_owned(),
    );
    wrong.unless(
        (refresh.absent_expiry == AbsentExpiry::Assume) == (refresh.assume_seconds > 0),
        || "`assume_seconds` and `absent_expiry = \"assume\"` go together.".to_owned(),
    );
}

fn endings(entry: &Provider, wrong: &mut Wrong) {
    let revocation = &entry.revocation;
    wrong.unless(
        revocation.style != RevocationStyle::DeleteGrant || revocation.authenticated,
        || "`delete_grant` needs `authenticated = true`.".to_owned(),
    );
    wrong.unless(
        revocation.style != RevocationStyle::Bearer || !revocation.authenticated,
        || "A bearer revokes itself; our client does not authenticate there.".to_owned(),
    );
    let errors = &entry.errors;
    wrong.unless(!errors.code.is_empty(), || {
        "Nothing says where error codes stand.".to_owned()
    });
    wrong.unless(!errors.invalid_grant.is_empty(), || {
        "No error code says that a grant has ended, so nobody would ever be asked to link again."
            .to_owned()
    });
    wrong.unless(!errors.invalid_client.is_empty(), || {
        "No error code says that our client is refused.".to_owned()
    });
    let lists = [
        &errors.invalid_grant,
        &errors.invalid_client,
        &errors.down,
        &errors.limited,
    ];
    for (at, list) in lists.iter().enumerate() {
        for code in list.iter() {
            wrong.unless(
                !lists[at + 1..].iter().any(|other| other.contains(code)),
                || format!("The error code {code} means two things."),
            );
        }
    }
}

fn scopes(entry: &Provider, wrong: &mut Wrong) {
    wrong.unless(matches!(entry.scope_separator.as_str(), " " | ","), || {
        "Scopes are separated by a space or a comma.".to_owned()
    });
    wrong.unless(
        entry.scopes.is_empty() || entry.scopes.iter().any(|scope| scope.default),
        || "No scope is asked for by default.".to_owned(),
    );
    for (at, scope) in entry.scopes.iter().enumerate() {
        let names = |other: &super::Scope| {
            other.name == scope.name || other.also.as_ref() == Some(&scope.name)
        };
        wrong.unless(!entry.scopes[..at].iter().any(names), || {
            format!("The scope {} is listed twice.", scope.name)
        });
        wrong.unless(
            !scope.name.is_empty() && !scope.name.contains([' ', ',', '"', '\\']),
            || format!("{:?} is no name of a scope (RFC 6749 §3.3).", scope.name),
        );
        says(&scope.words, &format!("The scope {}", scope.name), wrong);
        wrong.unless(scope.words != scope.name, || {
            format!("The scope {} is not put in words.", scope.name)
        });
    }
}

/// Words for people: a sentence that begins with a capital and has no full stop.
fn says(words: &str, what: &str, wrong: &mut Wrong) {
    wrong.unless(
        words.chars().next().is_some_and(char::is_uppercase)
            && !words.ends_with('.')
            && words.chars().count() <= 160
            && !words.chars().any(char::is_control),
        || {
            format!(
                "{what} is not put in words: a sentence of up to 160 letters with a capital and without a full stop."
            )
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::providers::{Host, provider};

    fn spoiled(spoil: impl FnOnce(&mut Provider)) -> Vec<String> {
        let mut entry = provider("google").unwrap().clone();
        spoil(&mut entry);
        check(&entry)
    }

    #[test]
    fn what_is_wrong_is_said_in_a_sentence() {
        type Spoil = fn(&mut Provider);
        let cases: [(Spoil, &str); 13] = [
            (|entry| entry.id = "Not An Id".to_owned(), "The id"),
            (
                |entry| entry.token = Url::parse("http://google.example/token").unwrap(),
                "is not https",
            ),
            (
                |entry| entry.identity.url = Url::parse("https://evil.example/me").ok(),
                "in the domain evil.example",
            ),
            (|entry| entry.hosts.clear(), "no API host"),
            (
                |entry| {
                    let again: Host = entry.hosts[0].clone();
                    entry.hosts.push(again);
                },
                "Two API hosts",
            ),
            (
                |entry| "email".clone_into(&mut entry.scopes[0].words),
                "is not put in words",
            ),
            (
                |entry| entry.scopes[1].name = entry.scopes[0].name.clone(),
                "listed twice",
            ),
            (|entry| entry.refresh.grace_seconds = 60, "grace time"),
            (|entry| entry.refresh.assume_seconds = 0, "assume_seconds"),
            (|entry| entry.errors.invalid_grant.clear(), "link again"),
            (
                |entry| entry.errors.down.push("invalid_grant".to_owned()),
                "means two things",
            ),
            (
                |entry| entry.identity.subject = "sub".to_owned(),
                "no JSON pointer",
            ),
            (
                |entry| {
                    entry
                        .authorize_parameters
                        .insert("state".to_owned(), "x".to_owned());
                },
                "set by Attorn itself",
            ),
        ];
        assert_eq!(spoiled(|_| {}), Vec::<String>::new());
        for (spoil, sentence) in cases {
            let wrong = spoiled(spoil);
            assert!(
                wrong.iter().any(|wrong| wrong.contains(sentence)),
                "{sentence}: {wrong:?}"
            );
        }
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = read("[[provider]]\nid = \"x\"\nnmae = \"X\"\n").unwrap_err();
        assert!(error.contains("nmae"), "{error}");
    }
}
