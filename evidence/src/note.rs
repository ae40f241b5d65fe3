//! Signed notes (C2SP signed-note): a text, a blank line, and signature lines `— name base64(key id || signature)`.
//!
//! Only Ed25519 (signature type 1) is signed and checked; lines of other keys, a witness for example, are kept and
//! passed over. Reading needs no crypto library; signing and verifying are behind the feature `signatures`.

use crate::digest::{self, sha256_of};
use std::fmt;

/// Signature type of Ed25519 over the plain note text.
const ED25519: u8 = 1;

/// How many signature lines are read; the specification asks for at least 16.
const MOST_SIGNATURES: usize = 64;

/// Why a note, a verifier key or a signature was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not text, blank line and signature lines, or with control characters in it.
    #[error("this is not a signed note")]
    Malformed,
    /// Key names are not empty and hold no space and no plus sign.
    #[error("a key name must not be empty or contain spaces or plus signs")]
    KeyName,
    /// Not `name+key id+base64` of an Ed25519 key, or with a key id that is not the key's.
    #[error("this is not the verifier key of an Ed25519 key")]
    VerifierKey,
    /// No line is by any of the trusted keys.
    #[error("the note is not signed by a trusted key")]
    NotSigned,
    /// A line claims to be by a trusted key, and is not.
    #[error("the signature of `{name}` does not fit the note")]
    WrongSignature {
        /// The key's name.
        name: String,
    },
    /// The text is no checkpoint.
    #[error("the note is signed but is not a checkpoint: {0}")]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
    /// The crypto library gave no signature.
    #[error("the note could not be signed")]
    Signing,
}

/// A note as it was read. Until [`verify_text`] (or [`crate::checkpoint::verify`]) has accepted it, nothing in it may be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    /// The text that is signed, with its final newline.
    pub text: String,
    /// The signatures in order.
    pub signatures: Vec<NoteSignature>,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// Who signed, by its own claim.
    pub name: String,
    /// Which of that name's keys.
    pub key_id: [u8; 4],
    /// The signature itself, 64 bytes for Ed25519.
    pub signature: Vec<u8>,
}

impl SignedNote {
    /// Reads a note. The last blank line separates text and signatures, of which there is at least one.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::Malformed);
        }
        let separator = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, lines) = note.split_at(separator + 1);
        let lines = lines[1..].strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let signatures = lines
            .split('\n')
            .take(MOST_SIGNATURES + 1)
            .map(NoteSignature::parse)
            .collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MOST_SIGNATURES {
            return Err(NoteError::Malformed);
        }
        Ok(SignedNote {
            text: text.to_owned(),
            signatures,
        })
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        for line in &self.signatures {
            let blob = [&line.key_id[..], &line.signature].concat();
            writeln!(formatter, "— {} {}", line.name, digest::base64(&blob))?;
        }
        Ok(())
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Result<Self, NoteError> {
        let (name, blob) = line
            .strip_prefix("— ")
            .and_then(|rest| rest.split_once(' '))
            .ok_or(NoteError::Malformed)?;
        check_name(name)?;
        let blob = digest::from_base64(blob).map_err(|_| NoteError::Malformed)?;
        let (key_id, signature) = blob.split_first_chunk().ok_or(NoteError::Malformed)?;
        if signature.is_empty() {
            return Err(NoteError::Malformed);
        }
        Ok(NoteSignature {
            name: name.to_owned(),
            key_id: *key_id,
            signature: signature.to_vec(),
        })
    }
}

fn check_name(name: &str) -> Result<(), NoteError> {
    let wrong = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.contains(wrong) {
        return Err(NoteError::KeyName);
    }
    Ok(())
}

/// An Ed25519 public key with the name it signs under. Its text form is `name+key id in hex+base64(1 || key)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public_key: [u8; 32],
}

impl VerifierKey {
    /// A key under a name, which must not be empty or contain spaces or plus signs.
    pub fn new(name: &str, public_key: [u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(VerifierKey {
            name: name.to_owned(),
            public_key,
        })
    }

    /// Reads the text form; the key id in it must be the key's.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let wrong = NoteError::VerifierKey;
        // The base64 part may hold plus signs itself, the name may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong);
        };
        let bytes = digest::from_base64(key).map_err(|_| wrong.clone())?;
        let Ok([ED25519, public_key @ ..]) = <[u8; 33]>::try_from(bytes) else {
            return Err(wrong);
        };
        let key = VerifierKey::new(name, public_key)?;
        if digest::array_from_hex(id) != Ok(key.key_id()) {
            return Err(wrong);
        }
        Ok(key)
    }

    /// The name it signs under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// First four bytes of SHA-256 of `name || 0x0A || 0x01 || public key`. It finds a key; it proves nothing.
    #[must_use]
    pub fn key_id(&self) -> [u8; 4] {
        let parts: [&[u8]; 3] = [self.name.as_bytes(), &[b'\n', ED25519], &self.public_key];
        let [a, b, c, d, ..] = sha256_of(&parts);
        [a, b, c, d]
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let id = digest::hex(&self.key_id());
        let typed_key = [&[ED25519][..], &self.public_key].concat();
        write!(
            formatter,
            "{}+{id}+{}",
            self.name,
            digest::base64(&typed_key)
        )
    }
}

impl std::str::FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        VerifierKey::parse(text)
    }
}

/// Signs a text that ends in a newline.
#[cfg(feature = "signatures")]
pub(crate) fn sign_text(
    text: String,
    name: &str,
    key: &aws_lc_rs::signature::Ed25519KeyPair,
) -> Result<SignedNote, NoteError> {
    use aws_lc_rs::signature::KeyPair as _;
    let public_key = key.public_key().as_ref();
    let public_key = public_key.try_into().map_err(|_| NoteError::Signing)?;
    let verifier = VerifierKey::new(name, public_key)?;
    let signature = key
        .try_sign(text.as_bytes())
        .map_err(|_| NoteError::Signing)?;
    let line = NoteSignature {
        name: name.to_owned(),
        key_id: verifier.key_id(),
        signature: signature.as_ref().to_vec(),
    };
    Ok(SignedNote {
        text,
        signatures: vec![line],
    })
}

/// Reads a note and gives its text if a trusted key signed it. A line with name and key id of a trusted key must
/// verify, or the whole note is refused; lines of unknown keys are passed over.
#[cfg(feature = "signatures")]
pub fn verify_text(note: &str, trusted: &[VerifierKey]) -> Result<String, NoteError> {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    let note = SignedNote::parse(note)?;
    let mut signed = false;
    for line in &note.signatures {
        let known = |key: &&VerifierKey| key.name == line.name && key.key_id() == line.key_id;
        // Two trusted keys could share name and key id by accident; either of them will do.
        let mut keys = trusted.iter().filter(known).peekable();
        if keys.peek().is_none() {
            continue;
        }
        let fits = |key: &VerifierKey| {
            UnparsedPublicKey::new(&ED25519, key.public_key)
                .verify(note.text.as_bytes(), &line.signature)
                .is_ok()
        };
        if !keys.any(fits) {
            return Err(NoteError::WrongSignature {
                name: line.name.clone(),
            });
        }
        signed = true;
    }
    if signed {
        Ok(note.text)
    } else {
        Err(NoteError::NotSigned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn verifier_keys_of_other_programs_are_read_and_written_alike() {
        for text in [
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
            "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6",
        ] {
            assert_eq!(VerifierKey::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_verifier_key_that_does_not_fit_its_id_is_refused() {
        for text in [
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+AxRpc2Qc",
            "PeterNeumann+c74f20a3",
            "",
        ] {
            assert_eq!(
                VerifierKey::parse(text),
                Err(NoteError::VerifierKey),
                "{text}"
            );
        }
        assert_eq!(
            VerifierKey::new("two words", [0; 32]),
            Err(NoteError::KeyName)
        );
        assert_eq!(VerifierKey::new("", [0; 32]), Err(NoteError::KeyName));
    }

    #[test]
    fn the_last_blank_line_ends_the_text() {
        let note = "one\n\ntwo\n\n— a AAAAAAA=\n— b/c AAAAAQI=\n";
        let read = SignedNote::parse(note).unwrap();
        assert_eq!(read.text, "one\n\ntwo\n");
        assert_eq!(read.signatures[1].name, "b/c");
        assert_eq!(read.signatures[1].key_id, [0, 0, 0, 1]);
        assert_eq!(read.signatures[1].signature, [2]);
        assert_eq!(read.to_string(), note);
    }

    #[test]
    fn what_is_no_note_is_refused() {
        for note in [
            "",
            "text\n",
            "text\n\n",
            "text\n\n— a AAAAAAA=",
            "text\n\n- a AAAAAAA=\n",
            "text\n\n— a AAAAAAA\n",
            "text\n\n— a AAAAAA==\n",
            "text\n\n— a\n",
            "te\txt\n\n— a AAAAAAA=\n",
            "text\r\n\n— a AAAAAAA=\n",
            "text\n\n— a AAAAAAA= more\n",
        ] {
            assert_eq!(
                SignedNote::parse(note),
                Err(NoteError::Malformed),
                "{note:?}"
            );
        }
        let crowd = format!("text\n\n{}", "— a AAAAAAA=\n".repeat(MOST_SIGNATURES + 1));
        assert_eq!(SignedNote::parse(&crowd), Err(NoteError::Malformed));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in any::<String>(), lines in r"[— +a=\nA]{0,40}") {
            let _ = SignedNote::parse(&text);
            let _ = SignedNote::parse(&lines);
            let _ = VerifierKey::parse(&text);
        }
    }
}
