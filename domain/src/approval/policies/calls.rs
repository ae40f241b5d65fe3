//! Calls that need an approval.
//!
//! A permission that misses a spelling refuses too much; a rule here that
//! missed one would let a call through. So it is read widely: what a provider
//! might take for the same call is the same call.

use serde::{Deserialize, Serialize};

use super::{Policy, PolicySet, Rule};

/// Calls of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoveredCalls {
    /// The connection, by name.
    pub connection: String,
    /// Methods in capitals; empty covers all.
    #[serde(default)]
    pub methods: Vec<String>,
    /// The path below the API host; every `*` stands for any text.
    pub path: String,
}

/// Names of query members by which some providers take another method.
const METHOD_IN_QUERY: [&str; 4] = ["method=", "method%3d", "verb=", "%6dethod="];

impl CoveredCalls {
    /// Whether it covers a call. `path_and_query` is raw, as it passes the
    /// proxy's own check; `other_host` says that the call names its host.
    #[must_use]
    pub fn covers(&self, method: &str, path_and_query: &str, other_host: bool) -> bool {
        let (path, query) = path_and_query
            .split_once('?')
            .unwrap_or((path_and_query, ""));
        self.covers_method(method, query) && self.covers_path(path, other_host)
    }

    fn covers_method(&self, method: &str, query: &str) -> bool {
        let query = query.to_ascii_lowercase();
        // HEAD is GET without the body (RFC 9110 §9.3.2).
        let method = if method == "HEAD" { "GET" } else { method };
        self.methods.is_empty()
            || self.methods.iter().any(|covered| covered == method)
            || METHOD_IN_QUERY.iter().any(|name| query.contains(name))
    }

    fn covers_path(&self, path: &str, other_host: bool) -> bool {
        let pattern = decoded(&self.path).to_lowercase();
        let pattern = match pattern.trim_end_matches('/') {
            "" => "/",
            rest => rest,
        };
        let path = plain(path);
        let fits = |path: &str| like(pattern, path) || like(pattern, &format!("{path}/"));
        if fits(&path) {
            return true;
        }
        // Another host may have the same API at another base: any tail counts.
        other_host
            && path
                .match_indices('/')
                .any(|(at, _)| path.get(at..).is_some_and(fits))
    }
}

/// The path as a lenient provider reads it: decoded once (the proxy lets no
/// encoded dot or percent sign pass), in lower case, without parameters
/// of segments and slashes at its end.
fn plain(path: &str) -> String {
    let decoded = decoded(path).to_lowercase();
    let segments: Vec<&str> = decoded
        .split('/')
        .map(|segment| segment.split(';').next().unwrap_or_default().trim())
        .collect();
    let joined = segments.join("/");
    match joined.trim_end_matches('/') {
        "" => "/".to_owned(),
        rest => rest.to_owned(),
    }
}

fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let code = after
            .get(..2)
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(code.unwrap_or(b'%'));
        rest = if code.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a text is like a pattern whose `*` stand for any text.
fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in between {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// What some types send, by path.
const SENT_BY: [(&str, &str); 4] = [
    ("slack_message", "*/chat.postmessage"),
    ("gmail_send", "*/messages/send"),
    ("calendar_event", "*/calendars/*/events"),
    ("salesforce_update", "*/sobjects/*"),
];

/// The type whose requests a call with this path may stand for.
pub(in crate::approval) fn type_of_path(path: &str) -> Option<&'static str> {
    let path = plain(path);
    SENT_BY
        .into_iter()
        .find(|(_, pattern)| like(pattern, &path))
        .map(|(name, _)| name)
}

impl Policy {
    fn calls_of(&self, client_id: &str, connection: &str) -> Option<&CoveredCalls> {
        match &self.rule {
            Rule::Calling(calls) if self.is_for(client_id) && calls.connection == connection => {
                Some(calls)
            }
            _ => None,
        }
    }
}

impl PolicySet {
    /// The first policy by which this call needs an approval.
    #[must_use]
    pub fn covering(
        &self,
        client_id: &str,
        connection: &str,
        method: &str,
        path_and_query: &str,
        other_host: bool,
    ) -> Option<&Policy> {
        self.policies.iter().find(|policy| {
            policy
                .calls_of(client_id, connection)
                .is_some_and(|calls| calls.covers(method, path_and_query, other_host))
        })
    }

    /// The first policy by which some call of this client with accounts of this
    /// connection needs an approval: then it gets no raw token of them.
    #[must_use]
    pub fn covering_account(&self, client_id: &str, connection: &str) -> Option<&Policy> {
        self.policies
            .iter()
            .find(|policy| policy.calls_of(client_id, connection).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(methods: &[&str], path: &str) -> CoveredCalls {
        CoveredCalls {
            connection: "slack".to_owned(),
            methods: methods.iter().map(|text| (*text).to_owned()).collect(),
            path: path.to_owned(),
        }
    }

    #[test]
    fn whatever_a_provider_may_take_for_the_same_call_is_covered() {
        let post = rule(&["POST"], "/chat.postMessage");
        for path in [
            "/chat.postMessage",
            "/chat.postMessage/",
            "/chat.postmessage",
            "/CHAT.postMessage",
            "/chat.%70ostMessage",
            "/chat.postMessage?channel=x",
            "/chat.postMessage;v=1",
            "/chat.postMessage%20",
        ] {
            assert!(post.covers("POST", path, false), "{path}");
        }
        assert!(!post.covers("POST", "/chat.postMessages", false));
        assert!(!post.covers("POST", "/x/chat.postMessage", false));
        assert!(post.covers("POST", "/api/chat.postMessage", true));
        assert!(!post.covers("GET", "/chat.postMessage", false));
        // Salesforce takes `_HttpMethod`, others `_method`.
        assert!(post.covers("GET", "/chat.postMessage?_HttpMethod=POST", false));
        assert!(post.covers("GET", "/chat.postMessage?a=1&_method=post", false));
    }

    #[test]
    fn a_call_that_sends_what_a_type_sends_is_held_to_its_policies() {
        for (path, name) in [
            ("/chat.postMessage", Some("slack_message")),
            ("/gmail/v1/users/me/messages/send", Some("gmail_send")),
            (
                "/calendar/v3/calendars/primary/events",
                Some("calendar_event"),
            ),
            (
                "/services/data/v60.0/sobjects/Account/001",
                Some("salesforce_update"),
            ),
            ("/conversations.list", None),
        ] {
            assert_eq!(type_of_path(path), name, "{path}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, path, covered) in [
            ("/*", "/", true),
            ("/*", "/a/b", true),
            ("*", "/a", true),
            ("/files/*", "/files/1/2", true),
            ("/files/*", "/files", true),
            ("/files/*", "/file", false),
            (
                "/services/data/*/sobjects/*",
                "/services/data/v60.0/sobjects/Account/1",
                true,
            ),
            (
                "/services/data/*/sobjects/*",
                "/services/data/v60.0/query",
                false,
            ),
            ("/a*a", "/a", false),
            // An encoded slash is data to some providers; a rule takes it either way.
            ("/p/a%2Fb/issues", "/p/a%2Fb/issues", true),
            ("/p/a/b/issues", "/p/a%2fb/issues", true),
            ("/*/send", "/gmail/v1/users/me/messages/send", true),
            ("/*/send", "/gmail/v1/users/me/messages/send/", true),
            ("/*/send", "/gmail/v1/users/me/drafts", false),
        ] {
            let covers = rule(&[], pattern).covers("PUT", path, false);
            assert_eq!(covers, covered, "{pattern} {path}");
        }
        let get = rule(&["GET"], "/a");
        assert!(get.covers("HEAD", "/a", false) && !get.covers("POST", "/a", false));
    }

    proptest! {
        #[test]
        fn no_spelling_that_passes_the_proxy_slips_by(
            encode in prop::collection::vec(any::<bool>(), 17),
            upper in prop::collection::vec(any::<bool>(), 17),
            slash: bool,
        ) {
            let mut path = String::from("/");
            for (at, letter) in "chat.postMessage".chars().enumerate() {
                let letter = if upper[at] { letter.to_ascii_uppercase() } else { letter };
                if encode[at] && letter != '.' {
                    path.push_str(&format!("%{:02x}", u32::from(letter)));
                } else {
                    path.push(letter);
                }
            }
            if slash {
                path.push('/');
            }
            prop_assert!(rule(&[], "/chat.postMessage").covers("POST", &path, false), "{}", path);
        }

        #[test]
        fn stars_match_as_a_slow_reader_would(pattern in "/[ab*]{0,6}", text in "/[ab]{0,8}") {
            fn slow(pattern: &[u8], text: &[u8]) -> bool {
                match pattern.split_first() {
                    None => text.is_empty(),
                    Some((b'*', rest)) => (0..=text.len()).any(|at| slow(rest, &text[at..])),
                    Some((byte, rest)) => text.first() == Some(byte) && slow(rest, &text[1..]),
                }
            }
            prop_assert_eq!(like(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
