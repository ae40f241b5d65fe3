//! Reading an answer of a provider, however it is written.
//!
//! What a token endpoint answers may hold the only refresh token there is: the
//! one before is spent. An answer is therefore read as far as there is any way
//! of reading it, whatever liberties it takes with RFC 8259 and its headers.
//! Nothing here decides what the answer means.

use std::io::Read as _;

use http::header::CONTENT_ENCODING;
use serde_json::{Deserializer, Value};

use super::wire::ANSWER_LIMIT;
use crate::outbound::Answer;

/// The JSON object of an answer: the first thing in its body, behind gzip, byte
/// order marks and other encodings; or a form, as GitHub's older token answers
/// are. `None` when there is none, or not enough of it.
pub(super) fn object(answer: &Answer) -> Option<Value> {
    let text = text(answer)?;
    json(&text)
        .or_else(|| form(&text))
        .or_else(|| salvaged(&text))
}

/// Whether an answer that broke off is of use all the same: a JSON object says
/// itself where it ends (a form does not), and where its members do.
pub(super) fn is_of_use(answer: &Answer) -> bool {
    text(answer).is_some_and(|text| json(&text).or_else(|| salvaged(&text)).is_some())
}

/// An object that was cut off, up to its last member that is surely whole. Only
/// if a refresh token is among them: without one, asking again is worth more.
fn salvaged(text: &str) -> Option<Value> {
    let text = text.trim_start();
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut end = None;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ if in_string => {}
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.checked_sub(1)?,
            ',' if depth == 1 => end = Some(at),
            _ => {}
        }
    }
    let json = json(&format!("{}}}", text.get(..end?)?))?;
    let successor = json.get("refresh_token").and_then(Value::as_str);
    successor
        .is_some_and(|token| !token.is_empty())
        .then_some(json)
}

fn json(text: &str) -> Option<Value> {
    // Not the strict parser: a doubled key in a provider's answer must not
    // cost a person their grant, nor a comment behind it.
    match Deserializer::from_str(text).into_iter::<Value>().next() {
        Some(Ok(json @ Value::Object(_))) => Some(json),
        _ => None,
    }
}

fn text(answer: &Answer) -> Option<String> {
    let body = &answer.body[..];
    let is_gzip = answer
        .headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| coding == "gzip" || coding == "x-gzip");
    if !is_gzip && !body.starts_with(&[0x1f, 0x8b]) {
        return Some(decoded(body));
    }
    let mut plain = Vec::new();
    let limit = u64::try_from(ANSWER_LIMIT).unwrap_or(u64::MAX);
    flate2::read::GzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut plain)
        .ok()?;
    Some(decoded(&plain))
}

/// The text of a body. Where it is no UTF-8, what JSON is made of, and tokens,
/// are ASCII and come through.
fn decoded(body: &[u8]) -> String {
    let wide = |unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = body[2..]
            .chunks_exact(2)
            .map(|pair| unit([pair[0], pair[1]]))
            .collect();
        String::from_utf16_lossy(&units)
    };
    match body {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(body).into_owned(),
    }
}

/// The members of a form, if it is one that speaks of a token: any text at all
/// makes a form of one nameless member, and a link in a page looks like one too.
fn form(text: &str) -> Option<Value> {
    let is_prose = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '{');
    if text.trim().contains(is_prose) {
        return None;
    }
    let members: Vec<(String, String)> = serde_urlencoded::from_str(text.trim()).ok()?;
    members
        .iter()
        .any(|(name, _)| name == "access_token" || name == "error")
        .then(|| {
            members
                .into_iter()
                .map(|(name, value)| (name, Value::String(value)))
                .collect()
        })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;

    fn answer(body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from(body.into()),
        }
    }

    fn token(answer: &Answer) -> Option<String> {
        object(answer)?
            .get("access_token")
            .and_then(Value::as_str)
            .map(str::to_owned)
    }

    const PLAIN: &str = r#"{"access_token":"a+b/c=","expires_in":60}"#;

    #[test]
    fn a_token_answer_is_read_however_it_is_written() {
        let wide = |order: fn(u16) -> [u8; 2]| {
            let units = std::iter::once(0xfeff).chain(PLAIN.encode_utf16());
            units.flat_map(order).collect::<Vec<u8>>()
        };
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(PLAIN.as_bytes()).unwrap();
        let gzip = gzip.finish().unwrap();
        let mut latin = br#"{"note":"gr"#.to_vec();
        latin.extend(b"\xfc\xdfe\",");
        latin.extend(&PLAIN.as_bytes()[1..]);
        let ways: [(&str, Vec<u8>); 9] = [
            ("as it should be", PLAIN.into()),
            ("behind a mark", format!("\u{feff}{PLAIN}").into()),
            ("in UTF-16, little end first", wide(u16::to_le_bytes)),
            ("in UTF-16, big end first", wide(u16::to_be_bytes)),
            ("beside letters of another alphabet", latin),
            ("in gzip that nobody announced", gzip),
            (
                "before a comment",
                format!("{PLAIN}\n<!-- node 7 -->").into(),
            ),
            (
                "behind made-up ones",
                PLAIN.replacen('{', "{\"access_token\":\"x\",", 1).into(),
            ),
            (
                "as a form",
                "access_token=a%2Bb%2Fc%3D&expires_in=60".into(),
            ),
        ];
        for (way, body) in ways {
            assert_eq!(token(&answer(body)).as_deref(), Some("a+b/c="), "{way}");
        }
    }

    #[test]
    fn half_an_answer_is_none() {
        let mut cut = answer(&PLAIN[..PLAIN.len() - 1]);
        assert_eq!(object(&cut), None);
        cut.headers
            .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(object(&cut), None);
        let link = "<html><a href=/login?from=token&error=invalid_grant&x=1>Sign in</a>";
        for other in ["", "[]", "\"text\"", "invalid_grant", link, "a=b&c=d"] {
            assert_eq!(object(&answer(other)), None, "{other}");
        }
    }

    #[test]
    fn a_refresh_token_that_came_whole_is_saved_from_a_cut_answer() {
        let body = r#"{"a":{"b":"x,\"y"},"refresh_token":"r2","scope":"s,t","expires_in":3600}"#;
        let whole = body.find(r#","scope"#).unwrap();
        for cut in 0..body.len() {
            let found = object(&answer(&body[..cut]));
            let token = found
                .as_ref()
                .and_then(|json| json["refresh_token"].as_str());
            assert_eq!(token, (cut > whole).then_some("r2"), "{}", &body[..cut]);
            // Half a number is another number.
            assert_eq!(found.and_then(|json| json.get("expires_in").cloned()), None);
        }
        assert_eq!(object(&answer(r#"{"refresh_token":"","#)), None);
        assert_eq!(object(&answer("}{,")), None);
    }

    #[test]
    fn what_broke_off_is_of_use_where_its_object_is_whole() {
        assert!(is_of_use(&answer(PLAIN)));
        assert!(is_of_use(&answer(format!("{PLAIN}\n<!-- no"))));
        for half in [&PLAIN[..PLAIN.len() - 1], "access_token=a&refresh_token=b"] {
            assert!(!is_of_use(&answer(half)), "{half}");
        }
    }

    #[test]
    fn a_bomb_of_gzip_is_not_unpacked() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        for _ in 0..64 {
            gzip.write_all(&[b' '; 1 << 20]).unwrap();
        }
        gzip.write_all(PLAIN.as_bytes()).unwrap();
        let bomb = gzip.finish().unwrap();
        assert!(bomb.len() < ANSWER_LIMIT);
        assert_eq!(object(&answer(bomb)), None);
    }
}
