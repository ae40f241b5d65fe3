//! Which headers and paths pass the proxy, in both directions.

use http::header::{self, HeaderMap, HeaderName};
use url::form_urlencoded;

use super::providers::EncodedSlash;

/// Never passed on, either way: hop by hop (RFC 9110 §7.6.1), about the
/// connection to us, or about who is connected.
const DROPPED: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "expect",
    "http2-settings",
    "via",
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "alt-svc",
    // Credentials of somebody else: the agent's of us, the provider's of a browser.
    "authorization",
    "dpop",
    "cookie",
    "set-cookie",
    "www-authenticate",
    "dpop",
    "x-csrf-token",
    // What only browsers send, or obey.
    "origin",
    "referer",
    "clear-site-data",
    "content-security-policy",
    "content-security-policy-report-only",
    "strict-transport-security",
    "service-worker-allowed",
    "refresh",
    "link",
    "report-to",
    "nel",
    "reporting-endpoints",
    // An answer that comes compressed could not be scrubbed.
    "accept-encoding",
];

const DROPPED_BEGINNINGS: &[&str] = &[
    "x-forwarded-",
    "sec-",
    "access-control-",
    "cf-",
    "proxy-",
    "x-attorn-",
    "attorn-",
];

/// A header by which a provider could read another method than the permitted one.
const METHOD_OVERRIDES: &[&str] = &[
    "x-http-method-override",
    "x-method-override",
    "x-http-method",
];

/// Parameters that do the same in a query or a form: Salesforce reads the
/// first, many frameworks the second, Google's gateways the third.
const METHOD_PARAMETERS: &[&str] = &[
    "_httpmethod",
    "_method",
    "$httpmethod",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

fn dropped(name: &HeaderName) -> bool {
    let name = name.as_str();
    DROPPED.contains(&name)
        || DROPPED_BEGINNINGS
            .iter()
            .any(|beginning| name.starts_with(beginning))
}

/// What may pass. Headers that `Connection` names go too.
pub(super) fn passed(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    headers
        .iter()
        .filter(|(name, _)| !dropped(name) && !named.iter().any(|other| other == name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The name of a method override among the headers, if there is one.
pub(super) fn method_override(headers: &HeaderMap) -> Option<&'static str> {
    METHOD_OVERRIDES
        .iter()
        .copied()
        .find(|name| headers.contains_key(*name))
}

/// Whether a query or a form has a parameter by which a provider could read
/// another method than the permitted one.
pub(crate) fn overrides_method(encoded: &str) -> bool {
    form_urlencoded::parse(encoded.as_bytes())
        .any(|(name, _)| METHOD_PARAMETERS.contains(&name.trim().to_ascii_lowercase().as_str()))
}

/// Refuses a raw path and query that a provider, or anything before it, could
/// read as another one than we did. An encoded slash passes only where it is
/// data to the provider; what it separates then is no dot segment, and is there.
pub(crate) fn check_path(path_and_query: &str, slash: EncodedSlash) -> Result<(), &'static str> {
    if !path_and_query
        .bytes()
        .all(|byte| (0x21..=0x7e).contains(&byte))
    {
        return Err("the path may hold printable ASCII only; encode the rest");
    }
    if path_and_query.contains('#') {
        return Err("the path may not hold a fragment");
    }
    let (path, query) = path_and_query
        .split_once('?')
        .unwrap_or((path_and_query, ""));
    if overrides_method(query) {
        return Err("the query may not override the method");
    }
    if !path.starts_with('/') {
        return Err("the path must begin with /");
    }
    if path.contains('\\') {
        return Err("the path may not hold a backslash");
    }
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let Some(code) = rest
            .get(at + 1..at + 3)
            .and_then(|code| u8::from_str_radix(code, 16).ok())
        else {
            return Err("the path holds a % that encodes nothing");
        };
        let is_data = code == b'/' && slash == EncodedSlash::Data;
        if matches!(code, b'/' | b'\\' | b'.' | b'%' | 0..=0x1f | 0x7f) && !is_data {
            return Err(
                "the path may not hold an encoded slash, backslash, dot, percent sign or control character",
            );
        }
        rest = &rest[at + 3..];
    }
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err("the path may not hold empty segments");
        }
        // Also for whoever decodes it all the same.
        let mut parts = parts(segment);
        if parts.any(|part| part == "." || part == "..") {
            return Err("the path may not hold dot segments");
        }
        if !segment.is_empty() && self::parts(segment).any(str::is_empty) {
            return Err("an encoded slash stands between two parts of a segment");
        }
    }
    Ok(())
}

/// What encoded slashes separate in a segment.
fn parts(segment: &str) -> impl Iterator<Item = &str> {
    segment.split("%2F").flat_map(|part| part.split("%2f"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_plain_paths_pass() {
        for good in [
            "/",
            "/chat.postMessage",
            "/a/b/",
            "/q?x=%2F..&y=a//b",
            "/a%20b",
            "/..a/b..",
            "/v1/a:watch",
            "/q?method=DELETE",
        ] {
            assert_eq!(check_path(good, EncodedSlash::Refused), Ok(()), "{good}");
            assert_eq!(check_path(good, EncodedSlash::Data), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a",
            "//a",
            "/a//b",
            "/./a",
            "/a/..",
            "/../a",
            "/a/%2e%2E/b",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%zz",
            "/a%2",
            "/%252e",
            "/a b",
            "/a#b",
            "/ä",
            "/a\r\nb",
            "/a?_HttpMethod=DELETE",
            "/a?x=1&%5Fmethod=PUT",
            "/a?%24httpMethod=DELETE",
        ] {
            for slash in [EncodedSlash::Refused, EncodedSlash::Data] {
                assert!(check_path(bad, slash).is_err(), "{bad}");
            }
        }
    }

    #[test]
    fn an_encoded_slash_passes_where_it_is_data_and_leads_nowhere() {
        for data in [
            "/projects/group%2Fproject/issues",
            "/projects/a%2fb%2Fc",
            "/files/src%2Fmain.rs",
        ] {
            assert_eq!(check_path(data, EncodedSlash::Data), Ok(()), "{data}");
            assert!(check_path(data, EncodedSlash::Refused).is_err(), "{data}");
        }
        for bad in [
            "/a%2F..%2Fb",
            "/..%2Fa",
            "/a%2f.",
            "/%2Fa",
            "/a%2F",
            "/a%2F%2Fb",
            "/a%2F%2e%2e",
            "/a%252Fb",
            "/a%2F%5Cb",
        ] {
            assert!(check_path(bad, EncodedSlash::Data).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_about_connections_and_credentials_stays_here() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "cookie",
            "x-forwarded-for",
            "forwarded",
            "connection",
            "x-mine",
            "te",
            "host",
            "set-cookie",
            "accept-encoding",
            "sec-fetch-site",
        ] {
            headers.insert(
                HeaderName::from_static(name),
                "x-mine, close".parse().unwrap(),
            );
        }
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.insert("x-other", "1".parse().unwrap());
        let mut left: Vec<_> = passed(&headers)
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect();
        left.sort();
        assert_eq!(left, ["content-type", "x-other"]);
        headers.insert("x-http-method-override", "DELETE".parse().unwrap());
        assert!(method_override(&headers).is_some());
    }

    proptest! {
        #[test]
        fn no_path_panics_and_a_good_one_means_the_same_to_a_url_parser(path in "/[ -~]{0,40}") {
            if check_path(&path, EncodedSlash::Data).is_ok() {
                let url = url::Url::parse(&format!("https://api.example{path}")).unwrap();
                prop_assert_eq!(url.host_str(), Some("api.example"));
                let depth = |text: &str| text.split('/').count();
                prop_assert_eq!(depth(url.path()), depth(path.split('?').next().unwrap()));
            }
        }
    }

    const PATH: [&str; 24] = [
        "/", "/", "a", ".", "..", "%2e", "%2E", "%2f", "%5c", "%25", "%00", "%20", "%zz", "%",
        "\\", "?", "#", ";", ":", "@", "//", "ä", "\r\n", "v1",
    ];

    fn path(text: &str) {
        for slash in [EncodedSlash::Refused, EncodedSlash::Data] {
            read_alike(text, slash);
        }
    }

    fn read_alike(text: &str, slash: EncodedSlash) {
        if check_path(text, slash).is_err() {
            return;
        }
        evidence::fuzz::taken("path");
        let base = url::Url::parse("https://api.example/").unwrap();
        let url = base.join(text).unwrap();
        assert_eq!(url.host_str(), Some("api.example"), "{text}");
        // What the path names is the same to us, to a parser of addresses and to
        // one of requests, however often it is decoded.
        let decode = |text: &str| -> Vec<u8> {
            let mut out = Vec::new();
            let mut rest = text.as_bytes();
            while let [first, tail @ ..] = rest {
                let code = (*first == b'%')
                    .then(|| tail.get(..2))
                    .flatten()
                    .and_then(|code| std::str::from_utf8(code).ok())
                    .and_then(|code| u8::from_str_radix(code, 16).ok());
                out.push(code.unwrap_or(*first));
                rest = if code.is_some() { &tail[2..] } else { tail };
            }
            out
        };
        let (raw, query) = text.split_once('?').unwrap_or((text, ""));
        let segments = |path: &str| path.split('/').map(decode).collect::<Vec<_>>();
        assert_eq!(segments(url.path()), segments(raw), "{text}");
        if let Ok(uri) = text.parse::<http::Uri>() {
            assert_eq!(uri.path(), raw);
            assert_eq!(uri.query().unwrap_or_default(), query);
            assert!(uri.authority().is_none());
        }
        for segment in segments(raw) {
            assert!(segment != b"." && segment != b"..", "{text}");
            let is_data = slash == EncodedSlash::Data;
            let split = |byte: &u8| matches!(byte, b'\\' | 0..=0x1f) || (*byte == b'/' && !is_data);
            for part in segment.split(|byte| *byte == b'/') {
                assert!(part != b"." && part != b"..", "{text}");
            }
            assert!(!segment.iter().any(split), "{text}");
            let again = decode(&String::from_utf8_lossy(&segment));
            assert_eq!(again, segment, "decoded twice: {text}");
        }
    }

    #[test]
    fn proxy_paths() {
        bolero::check!(name = "path")
            .with_iterations(evidence::fuzz::INPUTS)
            .for_each(|input: &[u8]| {
                path(&String::from_utf8_lossy(input));
                let spelled = evidence::fuzz::spell(input, &PATH);
                path(&spelled);
                path(&format!("/{spelled}"));
            });
        evidence::fuzz::has_taken("path", 5);
    }
}
