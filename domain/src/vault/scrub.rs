//! Removing echoes of a credential from an answer: as it is, base64 (at any
//! place within), URL-encoded and JSON-escaped.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures::stream::{StreamExt as _, unfold};
use http::{HeaderMap, HeaderValue};
use memchr::memmem;
use zeroize::Zeroizing;

use crate::outbound::{BrokeOff, Chunks};
use crate::secret::Secret;

const REMOVED: &[u8] = b"[removed]";

/// Forms are looked for by this many of their first bytes; shorter ones are not
/// looked for at all: they would be found everywhere.
const ANCHOR: usize = 6;

/// Every way a token may be written.
pub(super) struct Scrubber {
    groups: Vec<Group>,
    /// The length of the longest form.
    longest: usize,
}

/// Forms that begin alike, the longest first.
struct Group {
    anchor: memmem::Finder<'static>,
    forms: Vec<Zeroizing<Vec<u8>>>,
}

impl Scrubber {
    /// For this token.
    pub fn of(token: &Secret<String>) -> Self {
        let token = token.expose();
        let mut forms: Vec<Vec<u8>> = vec![token.clone().into_bytes()];
        if !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
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
        }
        for lead in 0..3_usize {
            forms.extend(inside_base64(token.as_bytes(), lead));
        }
        forms.retain(|form| form.len() >= ANCHOR);
        // Longest first: of two at one place the longer is removed.
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        let longest = forms.first().map_or(0, Vec::len);
        let mut groups: Vec<Group> = Vec::new();
        for form in forms.into_iter().map(Zeroizing::new) {
            let anchor = &form[..ANCHOR];
            match groups
                .iter_mut()
                .find(|group| group.anchor.needle() == anchor)
            {
                Some(group) => group.forms.push(form),
                None => groups.push(Group {
                    anchor: memmem::Finder::new(anchor).into_owned(),
                    forms: vec![form],
                }),
            }
        }
        Self { groups, longest }
    }

    /// Where the first form in `text` begins and ends.
    fn find(&self, text: &[u8]) -> Option<(usize, usize)> {
        let mut first: Option<(usize, usize)> = None;
        for group in &self.groups {
            // What begins after the first one found is not looked for.
            let within = first.map_or(text.len(), |(start, _)| {
                text.len().min(start.saturating_add(ANCHOR))
            });
            for at in group.anchor.find_iter(&text[..within]) {
                let form = group.forms.iter().find(|form| text[at..].starts_with(form));
                if let Some(form) = form {
                    let found = (at, at + form.len());
                    let longer = |(start, end)| at < start || at == start && found.1 > end;
                    if first.is_none_or(longer) {
                        first = Some(found);
                    }
                    break;
                }
            }
        }
        first
    }

    /// The text without them; `None` where there are none.
    fn removed(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut found = self.find(text)?;
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        loop {
            let (start, end) = found;
            out.extend_from_slice(&rest[..start]);
            out.extend_from_slice(REMOVED);
            rest = &rest[end..];
            match self.find(rest) {
                Some(next) => found = next,
                None => break,
            }
        }
        out.extend_from_slice(rest);
        Some(out)
    }

    /// Where the end of `text` that may be the beginning of a form begins.
    fn open_end(&self, text: &[u8]) -> usize {
        let from = text.len().saturating_sub(self.longest.saturating_sub(1));
        let begins = |at: usize| {
            let end = &text[at..];
            self.groups
                .iter()
                .any(|group| group.forms.iter().any(|form| form.starts_with(end)))
        };
        let whole_anchors = self
            .groups
            .iter()
            .flat_map(|group| group.anchor.find_iter(&text[from..]))
            .map(|at| from + at)
            .filter(|at| begins(*at))
            .min();
        whole_anchors.unwrap_or_else(|| {
            let last = text.len().saturating_sub(ANCHOR - 1);
            (last..text.len())
                .find(|at| begins(*at))
                .unwrap_or(text.len())
        })
    }

    /// The body without them; untouched (and uncopied) when there are none.
    pub fn body(&self, body: Bytes) -> Bytes {
        self.removed(&body).map_or(body, Bytes::from)
    }

    /// The same for a body that passes: `first` and then `rest`. What may be
    /// the beginning of a form waits for the piece after it.
    pub fn passing(self, first: Bytes, rest: Chunks) -> Chunks {
        let pieces = futures::stream::iter([Ok(first)]).chain(rest);
        let start = Some((self, Vec::<u8>::new(), Box::pin(pieces)));
        Box::pin(unfold(start, |state| async move {
            let (scrubber, mut held, mut pieces) = state?;
            let out = loop {
                match pieces.next().await {
                    Some(Ok(piece)) => {
                        let ready = scrubber.piece(&mut held, piece);
                        if !ready.is_empty() {
                            break ready;
                        }
                    }
                    // The beginning of a form that never went on is none.
                    None if held.is_empty() => return None,
                    None => break Bytes::from(std::mem::take(&mut held)),
                    Some(Err(error)) => return Some((Err::<_, BrokeOff>(error), None)),
                }
            };
            Some((Ok(out), Some((scrubber, held, pieces))))
        }))
    }

    /// What of `held` and this piece may go on; the rest is held.
    fn piece(&self, held: &mut Vec<u8>, piece: Bytes) -> Bytes {
        let text = if held.is_empty() {
            piece
        } else {
            held.extend_from_slice(&piece);
            Bytes::from(std::mem::take(held))
        };
        let text = self.body(text);
        let end = self.open_end(&text);
        held.extend_from_slice(&text[end..]);
        text.slice(..end)
    }

    /// Replaces header values that hold one.
    pub fn headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            if let Some(scrubbed) = self.removed(value.as_bytes()) {
                *value = HeaderValue::from_bytes(&scrubbed)
                    .unwrap_or_else(|_| HeaderValue::from_static("[removed]"));
            }
        }
    }
}

fn encoded(token: &str, upper: bool, plain: impl Fn(u8) -> bool) -> Vec<u8> {
    let digits: &[u8; 16] = if upper {
        b"0123456789ABCDEF"
    } else {
        b"0123456789abcdef"
    };
    let mut out = Vec::with_capacity(token.len() * 3);
    for byte in token.bytes() {
        if plain(byte) {
            out.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'%', digits[high], digits[low]]);
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

        #[test]
        fn a_body_in_pieces_is_scrubbed_as_one_in_one_piece(
            parts in proptest::collection::vec(0..8_usize, 0..12),
            cuts in proptest::collection::vec(1..40_usize, 1..30),
        ) {
            let json = serde_json::to_string(TOKEN).unwrap();
            let base64 = STANDARD.encode(format!("xy{TOKEN}z"));
            let url: String = url::form_urlencoded::byte_serialize(TOKEN.as_bytes()).collect();
            let words = [TOKEN, &json, &base64, &url, "ya29", "ya29.a0/Af+H6SMx", "plain ", &TOKEN[..20]];
            let body: String = parts.iter().map(|part| words[*part]).collect();
            let scrubber = Scrubber::of(&Secret::from(TOKEN));
            let whole = scrubber.body(Bytes::from(body.clone()));
            let mut pieces = Vec::new();
            let (mut rest, mut cuts) = (body.as_bytes(), cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                pieces.push(Ok(Bytes::copy_from_slice(piece)));
                rest = after;
            }
            let passed = scrubber.passing(Bytes::new(), Box::pin(futures::stream::iter(pieces)));
            let passed: Vec<Bytes> = futures::executor::block_on_stream(passed).map(Result::unwrap).collect();
            prop_assert_eq!(passed.concat(), whole.to_vec());
        }
    }

    #[test]
    fn what_cannot_become_the_token_does_not_wait_for_the_next_piece() {
        let scrubber = Scrubber::of(&Secret::from(TOKEN));
        let mut held = Vec::new();
        let line = Bytes::from_static(b"data: one line of a slow answer\n\n");
        assert_eq!(scrubber.piece(&mut held, line.clone()), line);
        assert!(held.is_empty());
        assert_eq!(
            scrubber.piece(&mut held, Bytes::from_static(b"it is ya29.a")),
            "it is "
        );
        assert_eq!(held, b"ya29.a");
    }
}
