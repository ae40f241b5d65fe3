//! Bytes as no well-behaved server would send them.

use axum::http::HeaderValue;
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

/// A date as headers have it (RFC 9110 §5.6.7). Times beyond the calendar become its beginning.
pub(super) fn http_date(ms: i64) -> HeaderValue {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let at = OffsetDateTime::from_unix_timestamp(ms / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(format)
        .ok()
        .and_then(|text| HeaderValue::try_from(text).ok())
        .unwrap_or_else(|| HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

/// A gzip file (RFC 1952) of stored blocks (RFC 1951 §3.2.4): nothing gets smaller, everybody can
/// read it.
pub(super) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut blocks = plain.chunks(usize::from(u16::MAX)).peekable();
    if blocks.peek().is_none() {
        file.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        // At most u16::MAX by the chunking above.
        let length = block.len() as u16;
        file.push(u8::from(blocks.peek().is_none()));
        file.extend(length.to_le_bytes());
        file.extend((!length).to_le_bytes());
        file.extend(block);
    }
    file.extend(crc32(plain).to_le_bytes());
    // The length modulo 2³² (RFC 1952 §2.3.1).
    file.extend((plain.len() as u32).to_le_bytes());
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    let rest = bytes.iter().fold(u32::MAX, |rest, byte| {
        (0..8).fold(rest ^ u32::from(*byte), |rest, _| {
            (rest >> 1) ^ (0xedb8_8320 & (rest & 1).wrapping_neg())
        })
    });
    !rest
}

/// The text in UTF-16, little end first, with its mark.
pub(super) fn utf16(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    std::iter::once(0xfeff)
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect()
}

/// A JSON object with a further member in ISO 8859-1.
pub(super) fn with_latin1_note(json: &[u8]) -> Vec<u8> {
    opened(json, b"\"note\":\"gr\xfc\xdfe\"")
}

/// A JSON object whose tokens stand in it twice, made-up ones first.
pub(super) fn doubled(json: &[u8]) -> Vec<u8> {
    let decoys = b"\"access_token\":\"made-up-access\",\"refresh_token\":\"made-up-refresh\"";
    let has_refresh =
        serde_json::from_slice::<Value>(json).is_ok_and(|json| json.get("refresh_token").is_some());
    if has_refresh {
        opened(json, decoys)
    } else {
        opened(json, b"\"access_token\":\"made-up-access\"")
    }
}

/// Puts a member in front of the others; what is no object with members stays as it is.
fn opened(json: &[u8], member: &[u8]) -> Vec<u8> {
    match json.strip_prefix(b"{") {
        Some(rest) if !rest.starts_with(b"}") => [b"{", member, b",", rest].concat(),
        _ => json.to_vec(),
    }
}

/// The members of a JSON object as a form, as far as they are texts and numbers.
pub(super) fn form(json: &[u8]) -> Vec<u8> {
    let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(json) else {
        return json.to_vec();
    };
    let pairs = members.into_iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some((name, text)),
        Value::Number(number) => Some((name, number.to_string())),
        _ => None,
    });
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
        .into_bytes()
}

/// Ids of digits as numbers instead of texts.
pub(super) fn ids_as_numbers(json: &[u8]) -> Vec<u8> {
    let mut text = String::from_utf8_lossy(json).into_owned();
    for name in ["id", "sub", "user_id"] {
        let before = format!("\"{name}\":\"");
        let Some(at) = text.find(&before) else {
            continue;
        };
        let from = at + before.len();
        let digits = text[from..].bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && text[from + digits..].starts_with('"') {
            text.remove(from + digits);
            text.remove(from - 1);
        }
    }
    text.into_bytes()
}
