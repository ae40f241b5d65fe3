//! Removing echoes of a credential from an answer: as it is, base64 (at any
//! place within), URL-encoded and JSON-escaped.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use crate::secret::Secret;

const REMOVED: &[u8] = b"[removed]";

/// Every way a token may be written.
pub(super) struct Scrubber(Vec<Zeroizing<Vec<u8>>>);

impl Scrubber {
    /// For this token.
    pub fn of(token: &Secret<String>) -> Self {
        let token = token.expose();
        let mut forms: Vec<Vec<u8>> = vec![token.clone().into_bytes()];
        for upper in [true, false] {
            forms.push(encoded(token, upper, |byte| {
                byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
            }));
            forms.push(encoded(token, upper, |byte| byte.is_ascii_alphanumeric()));
        }
        forms.push(token.replace('/', "\\/").into_bytes());
        if let Ok(json) = serde_json::to_string(token) {
            forms.push(json.trim_matches('"').as_bytes().to_vec());
        }
        for lead in 0..3_usize {
            forms.extend(inside_base64(token.as_bytes(), lead));
        }
        forms.retain(|form| form.len() >= 6);
        // Longest first: a form that contains another is removed whole.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self(forms.into_iter().map(Zeroizing::new).collect())
    }

    fn found(&self, text: &[u8]) -> bool {
        self.0.iter().any(|form| find(text, form).is_some())
    }

    /// The body without them; untouched (and uncopied) when there are none.
    pub fn body(&self, body: Bytes) -> Bytes {
        if !self.found(&body) {
            return body;
        }
        let mut body = body.to_vec();
        for form in &self.0 {
            body = replaced(&body, form);
        }
        Bytes::from(body)
    }

    /// Replaces header values that hold one.
    pub fn headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            if self.found(value.as_bytes()) {
                let mut scrubbed = value.as_bytes().to_vec();
                for form in &self.0 {
                    scrubbed = replaced(&scrubbed, form);
                }
                *value = HeaderValue::from_bytes(&scrubbed)
                    .unwrap_or_else(|_| HeaderValue::from_static("[removed]"));
            }
        }
    }
}

fn encoded(token: &str, upper: bool, plain: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(token.len() * 3);
    for byte in token.bytes() {
        if plain(byte) {
            out.push(byte);
        } else if upper {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.extend_from_slice(format!("%{byte:02x}").as_bytes());
        }
    }
    out
}

/// The characters that stand in base64 of anything that holds `token` after a
/// number of bytes that leaves `lead` modulo 3.
fn inside_base64(token: &[u8], lead: usize) -> Vec<Vec<u8>> {
    if token.len() < 12 {
        return Vec::new();
    }
    let padded = [vec![0; lead], token.to_vec()].concat();
    // Characters that share bits with what stands before or after are left off.
    let first = (lead * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    [
        STANDARD_NO_PAD.encode(&padded),
        URL_SAFE_NO_PAD.encode(&padded),
    ]
    .into_iter()
    .map(|text| text.as_bytes()[first..last].to_vec())
    .collect()
}

fn find(text: &[u8], form: &[u8]) -> Option<usize> {
    let first = *form.first()?;
    let mut from = 0;
    while let Some(at) = text.get(from..)?.iter().position(|byte| *byte == first) {
        let start = from + at;
        if text.len() - start < form.len() {
            return None;
        }
        if &text[start..start + form.len()] == form {
            return Some(start);
        }
        from = start + 1;
    }
    None
}

fn replaced(text: &[u8], form: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find(rest, form) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(REMOVED);
        rest = &rest[at + form.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    const TOKEN: &str = "ya29.a0/Af+H6SM\"x-Ba_rest";

    proptest! {
        #[test]
        fn no_written_form_of_the_token_is_left(before in "[ -~]{0,20}", after in "[ -~]{0,20}", form in 0..6_usize) {
            let inner = match form {
                0 => TOKEN.to_owned(),
                1 => STANDARD.encode(format!("{before}{TOKEN}{after}")),
                2 => URL_SAFE_NO_PAD.encode(format!("{before}{TOKEN}{after}")),
                3 => url::form_urlencoded::byte_serialize(TOKEN.as_bytes()).collect(),
                4 => serde_json::to_string(TOKEN).unwrap(),
                _ => TOKEN.replace('/', "\\/"),
            };
            let body = format!("{before}{inner}{after}");
            let scrubbed = Scrubber::of(&Secret::from(TOKEN)).body(Bytes::from(body));
            let text = String::from_utf8(scrubbed.to_vec()).unwrap();
            prop_assert!(text.contains("[removed]"), "{}", text);
            prop_assert!(!text.contains(&inner));
        }

        #[test]
        fn an_answer_without_the_token_is_left_as_it_is(body: Vec<u8>) {
            let scrubbed = Scrubber::of(&Secret::from(TOKEN)).body(Bytes::from(body.clone()));
            prop_assert_eq!(scrubbed.to_vec(), body);
        }
    }
}
