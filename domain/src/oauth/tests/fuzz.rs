//! Fuzz targets for what comes in at the endpoints: bodies, tokens, addresses.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use evidence::fuzz::{self, INPUTS, has_taken, spell, taken};
use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::oauth::authorize::AccountAccess;
use crate::oauth::jws::{Compact, thumbprint};
use crate::oauth::registration::check_redirect;
use crate::oauth::{ClientKind, ClientState, Source, dpop, metadata_document};

/// Names and values that are not empty, in some order.
fn sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    let mut all: Vec<_> = pairs
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    all.sort();
    all
}

/// The same by the reader of browsers, which takes everything.
fn lenient(bytes: &[u8]) -> Vec<(String, String)> {
    let pairs: Vec<_> = url::form_urlencoded::parse(bytes).collect();
    sorted(pairs.iter().map(|(name, value)| (&**name, &**value)))
}

fn times(bytes: &[u8], name: &str) -> usize {
    url::form_urlencoded::parse(bytes)
        .filter(|(other, _)| other == name)
        .count()
}

const FORM: [&str; 20] = [
    "client_id",
    "sub",
    "resource",
    "scope",
    "state",
    "request_uri",
    "a",
    "=",
    "=",
    "&",
    "&",
    "+",
    "%20",
    "%3D",
    "%26",
    "%ff",
    "%C3%A4",
    "%63lient_id",
    "%",
    "x",
];

fn form(bytes: &[u8]) {
    if let Ok(params) = Params::form(bytes) {
        taken("form");
        let read = sorted(params.pairs());
        assert_eq!(read, lenient(bytes), "two readers differ");
        for (name, _) in &read {
            assert!(
                name == "resource" || times(bytes, name) == 1,
                "{name} twice"
            );
        }
        let again = serde_urlencoded::to_string(params.pairs().collect::<Vec<_>>()).unwrap();
        let again = Params::form(again.as_bytes()).map_err(|error| error.plain());
        assert_eq!(again.map(|again| sorted(again.pairs())), Ok(read));
    }
    if let Ok(params) = Params::query(bytes) {
        taken("query");
        let mut doubled = false;
        for (name, _) in url::form_urlencoded::parse(bytes) {
            if name != "resource" && times(bytes, &name) > 1 {
                doubled = true;
                assert!(params.get(&name).is_none(), "{name} is believed");
            }
        }
        assert_eq!(params.twice().is_some(), doubled);
        for name in ["client_id", "redirect_uri", "request_uri"] {
            assert!(times(bytes, name) <= 1, "{name} twice");
        }
    }
}

#[test]
fn form_and_query() {
    bolero::check!(name = "form")
        .with_iterations(INPUTS)
        .for_each(|input: &[u8]| {
            form(input);
            form(spell(input, &FORM).as_bytes());
        });
    has_taken("form", 8);
    has_taken("query", 9);
}

const JSON: [&str; 18] = [
    "\"client_id\"",
    "\"resource\"",
    "\"sub\"",
    "\"a\"",
    "\"\\u0061\"",
    "\"\"",
    "\"ü\"",
    "\"https://a.example/\"",
    "\"\\ud83d\\ude00\"",
    "\"scope\"",
    "\"None\"",
    "null",
    "true",
    "1",
    "1e3",
    "-0.5",
    "\"\\u0000\"",
    "\"\\ud800\"",
];

fn json_body(bytes: &[u8]) {
    let Ok(params) = Params::json(bytes) else {
        return;
    };
    taken("json");
    // What is taken means the same to the reader that everybody else uses.
    let plain: BTreeMap<String, Value> = serde_json::from_slice(bytes).unwrap();
    for (name, value) in &plain {
        match value {
            Value::Null => assert!(params.get(name).is_none()),
            _ if name == "resource" => {}
            Value::String(text) => assert_eq!(params.get(name).unwrap_or_default(), text),
            other => assert_eq!(params.get(name), Some(other.to_string().as_str())),
        }
    }
    let mut again = serde_json::Map::new();
    let mut resources = Vec::new();
    for (name, value) in params.pairs() {
        if name == "resource" {
            resources.push(Value::from(value));
        } else {
            again.insert(name.to_owned(), value.into());
        }
    }
    again.insert("resource".to_owned(), resources.into());
    let again = Params::json(Value::Object(again).to_string().as_bytes());
    let again = again.map_err(|error| error.plain());
    assert_eq!(
        again.map(|again| sorted(again.pairs())),
        Ok(sorted(params.pairs()))
    );
}

#[test]
fn json_bodies() {
    bolero::check!(name = "json")
        .with_iterations(INPUTS)
        .for_each(|input: &[u8]| {
            json_body(input);
            let mut bytes = input.iter().copied();
            json_body(fuzz::json(&mut bytes, &JSON, 3, 0).as_bytes());
        });
    has_taken("json", 100);
}

const CLAIMS: [&str; 24] = [
    "\"alg\"",
    "\"none\"",
    "\"ES256\"",
    "\"HS256\"",
    "\"typ\"",
    "\"dpop+jwt\"",
    "\"jwk\"",
    "\"kid\"",
    "\"crit\"",
    "\"b64\"",
    "\"exp\"",
    "\"iat\"",
    "\"nbf\"",
    "\"kty\"",
    "\"x\"",
    "0",
    "-1",
    "1e300",
    "1798761600.5",
    "9223372036854775807",
    "-9223372036854775808",
    "false",
    r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
    r#"{"kty":"oct","k":"AA"}"#,
];

fn token_of(header: &str, claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}",
        part(header),
        part(claims),
        part("not signed by anybody")
    )
}

fn compact(text: &str) {
    let Ok(token) = Compact::parse(text) else {
        return;
    };
    taken("jws");
    assert!(text.len() <= 8 * 1024);
    let (signed, signature) = token.signed();
    let signed = std::str::from_utf8(signed).unwrap();
    // One token, one spelling.
    assert_eq!(
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)),
        text
    );
    let mut parts = signed.split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    });
    assert_eq!(parts.next(), Some(Value::Object(token.header.clone())));
    assert_eq!(parts.next(), Some(Value::Object(token.claims.clone())));
    assert!(!token.header.contains_key("crit") && !token.header.contains_key("b64"));
    for name in ["exp", "iat", "nbf"] {
        match token.seconds(name) {
            Ok(None) => assert!(!token.claims.contains_key(name)),
            Ok(Some(at)) => assert!((0..=253_402_300_799).contains(&at)),
            Err(_) => assert!(token.claims.contains_key(name)),
        }
    }
    // Nobody signed it: no key of any kind takes it, least of all its own.
    let point = URL_SAFE_NO_PAD.encode([7; 32]);
    let modulus = URL_SAFE_NO_PAD.encode([0xff; 256]);
    let mut keys = vec![
        json!({ "kty": "EC", "crv": "P-256", "x": point, "y": point }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": point }),
        json!({ "kty": "RSA", "n": modulus, "e": "AQAB" }),
        json!({ "kty": "oct", "k": point }),
        json!({}),
    ];
    keys.extend(token.header.get("jwk").cloned());
    for key in keys.iter().filter_map(Value::as_object) {
        assert!(token.verify(key).is_err());
        if let Some(print) = thumbprint(key) {
            assert!(dpop::is_thumbprint(&print));
        }
    }
}

#[test]
fn signed_tokens() {
    bolero::check!(name = "jws")
        .with_iterations(INPUTS)
        .for_each(|input: &[u8]| {
            compact(&String::from_utf8_lossy(input));
            let mut bytes = input.iter().copied();
            let header = fuzz::json(&mut bytes, &CLAIMS, 2, 0);
            compact(&token_of(&header, &fuzz::json(&mut bytes, &CLAIMS, 2, 0)));
        });
    has_taken("jws", 100);
}

const PROOF: [&str; 16] = [
    r#""htm":"POST""#,
    r#""htm":"GET""#,
    r#""htu":"https://attorn.test/oauth/token""#,
    r#""htu":"https://attorn.test/oauth/token?x#y""#,
    r#""htu":"https://evil.test/oauth/token""#,
    r#""jti":"one""#,
    r#""jti":"""#,
    r#""iat":1000"#,
    r#""iat":1059.9"#,
    r#""iat":939"#,
    r#""iat":1e300"#,
    r#""nonce":"ours""#,
    r#""nonce":"theirs""#,
    r#""ath":"x""#,
    r#""sub":"a""#,
    r#""crit":[]"#,
];

/// A proof by a real key, of these members and those that the input leaves alone.
fn proof(key: &super::key::Key, input: &[u8]) {
    let good = [0, 2, 5, 7, 11];
    let mut members: Vec<&str> = good.iter().map(|at| PROOF[*at]).collect();
    for byte in input.iter().take(6) {
        let at = usize::from(*byte) / PROOF.len() % members.len().max(1);
        if at < members.len() {
            members.remove(at);
        }
        members.push(PROOF[usize::from(*byte) % PROOF.len()]);
    }
    let claims = format!("{{{}}}", members.join(","));
    let header = json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": key.public() });
    let text = key.sign_text(&header.to_string(), &claims);
    let head = RequestHead {
        method: "POST".to_owned(),
        url: "https://attorn.test/oauth/token".to_owned(),
        ..RequestHead::default()
    };
    if dpop::judge(&text, &head, None, |nonce| nonce == "ours", 1000).is_err() {
        return;
    }
    taken("proof");
    let claims: Value = serde_json::from_str(&claims).unwrap();
    assert_eq!(claims["htm"], "POST");
    let htu = claims["htu"].as_str().unwrap();
    assert!(htu.starts_with("https://attorn.test/oauth/token"), "{htu}");
    assert_eq!(claims["nonce"], "ours");
    assert!((940.0..=1060.0).contains(&claims["iat"].as_f64().unwrap()));
    assert!(!claims["jti"].as_str().unwrap().is_empty());
}

#[test]
fn proofs_of_possession() {
    let key = super::key::Key::new();
    bolero::check!(name = "proof")
        .with_iterations(INPUTS)
        .for_each(|input: &[u8]| proof(&key, input));
    has_taken("proof", 20);
}

const ACCESS: [&str; 11] = [
    "\"type\"",
    "\"account_access\"",
    "\"connection\"",
    "\"mode\"",
    "\"call\"",
    "\"release\"",
    "\"slack\"",
    "\"\\u0000\"",
    "\"slack_message\"",
    "null",
    "1",
];

const ENTRIES: [&str; 8] = [
    ",",
    ",",
    ",",
    r#"{"type":"account_access","connection":"a","mode":"call"}"#,
    r#"{"type":"account_access","connection":"b","mode":"release"}"#,
    r#"{"mode":"call","type":"account_access","connection":"c"}"#,
    r#"{"type":"account_access","connection":"d","mode":"all"}"#,
    r#"{"type":"account_access","connection":"e","mode":"call","also":1}"#,
];

fn account_access(text: &str) {
    let Ok(all) = AccountAccess::parse(text) else {
        return;
    };
    taken("account_access");
    assert!(all.len() <= 10);
    let mut names: Vec<&str> = all.iter().map(|one| one.connection.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len(), "a connection twice in {text}");
    // It says itself again, and nothing else was in it.
    let plain: Value = serde_json::from_str(text).unwrap();
    assert_eq!(AccountAccess::details(&all), plain);
}

#[test]
fn accounts_that_are_asked_for() {
    bolero::check!(name = "account_access")
        .with_iterations(INPUTS)
        .for_each(|input: &[u8]| {
            account_access(&String::from_utf8_lossy(input));
            account_access(&format!("[{}]", spell(input, &ENTRIES)));
            let mut bytes = input.iter().copied();
            account_access(&format!("[{}]", fuzz::json(&mut bytes, &ACCESS, 2, 0)));
        });
    has_taken("account_access", 20);
}

const ADDRESS: [&str; 32] = [
    "https",
    "http",
    "com.example.app",
    "javascript",
    "data",
    ":",
    "//",
    "/",
    "/",
    "\\",
    "@",
    ":443",
    ":80",
    "?",
    "#",
    "127.0.0.1",
    "[::1]",
    "localhost",
    "0x7f.1",
    "a.example",
    "evil.example",
    "app.example",
    ".",
    "..",
    "%2e",
    "%40",
    "\t",
    "\n",
    " ",
    "ä",
    "/cb",
    "attorn.test/oauth/token",
];

/// An authority as RFC 3986 §3.2 has it, without any mending.
fn plain_host(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(':')?;
    let authority = rest.strip_prefix("//")?.split(['/', '?', '#']).next()?;
    assert!(!authority.contains('@'), "a user in {text}");
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    Some(host.to_ascii_lowercase())
}

fn redirect(text: &str) {
    if check_redirect(text).is_ok() {
        taken("redirect");
        let url = Url::parse(text).unwrap();
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let plain = plain_host(text).unwrap_or_default();
        assert_eq!(plain, host, "two readers see two hosts: {text}");
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
        assert!(url.username().is_empty() && url.password().is_none());
        assert!(url.fragment().is_none());
        let scheme = url.scheme();
        assert!(matches!(scheme, "https" | "http") || scheme.contains('.'));
        // Where the answer goes is where the address leads.
        let mut answer = url.clone();
        answer.query_pairs_mut().append_pair("code", "x&y#z");
        assert_eq!(
            (answer.scheme(), answer.host(), answer.port(), answer.path()),
            (url.scheme(), url.host(), url.port(), url.path())
        );
    }
    let client = native();
    if client.redirects_to(text) {
        taken("native");
        let url = Url::parse(text).unwrap();
        let host = url.host_str().unwrap_or_default();
        assert!(
            ["127.0.0.1", "[::1]", "app.example"].contains(&host),
            "{text}"
        );
        assert_eq!(
            (url.path(), url.query(), url.fragment()),
            ("/cb", None, None)
        );
        assert!(url.username().is_empty() && url.password().is_none());
    }
    if let Some(url) = metadata_document::address(text) {
        taken("document");
        assert_eq!(url.as_str(), text);
        assert_eq!(plain_host(text).as_deref(), url.host_str());
        assert!(url.fragment().is_none() && url.path().len() > 1);
    }
    let endpoint = "https://attorn.test/oauth/token";
    if dpop::same(text, endpoint) {
        taken("htu");
        let url = Url::parse(text).unwrap();
        assert_eq!(url.origin().ascii_serialization(), "https://attorn.test");
        assert_eq!(url.path(), "/oauth/token");
    }
}

/// A public client with an address on loopback and one elsewhere.
fn native() -> Client {
    Client {
        id: "native".to_owned(),
        name: "Native".to_owned(),
        kind: ClientKind::Public,
        redirect_uris: [
            "http://127.0.0.1/cb",
            "http://[::1]:4000/cb",
            "https://app.example/cb",
        ]
        .map(str::to_owned)
        .to_vec(),
        grant_types: Vec::new(),
        scopes: Vec::new(),
        audiences: Vec::new(),
        resource_audience: None,
        rotate_refresh: true,
        access_mode: None,
        embedded: false,
        source: Source::Admin,
        state: ClientState::Active,
        created_at: 0,
        metadata: crate::oauth::ClientMetadata::default(),
    }
}

#[test]
fn redirect_and_other_addresses() {
    bolero::check!(name = "address")
        .with_iterations(INPUTS)
        .for_each(|input: &[u8]| {
            redirect(&String::from_utf8_lossy(input));
            let spelled = spell(input, &ADDRESS);
            redirect(&spelled);
            redirect(&format!("https://app.example{spelled}"));
            redirect(&format!("http://127.0.0.1{spelled}"));
            // One change to an address that would be taken.
            for good in [
                "https://attorn.test/oauth/token",
                "http://127.0.0.1:4000/cb",
                "https://app.example/cb",
            ] {
                let Some((at, change)) = input.split_first() else {
                    continue;
                };
                let mut changed = good.to_owned();
                let at = usize::from(*at) % (good.len() + 1);
                changed.insert_str(at, &spell(&change[..change.len().min(2)], &ADDRESS));
                redirect(&changed);
            }
        });
    has_taken("redirect", 5);
    has_taken("native", 20);
    has_taken("document", 2);
    has_taken("htu", 20);
}
