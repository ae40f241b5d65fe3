//! The log's signed promise over a tree of a certain size (C2SP tlog-checkpoint), carried as a signed note.
//!
//! A log must never sign two checkpoints that no single history explains. Whoever keeps an old one can later show that
//! the history was rewritten, which is why checkpoints leave the house.

use crate::digest::{self, Hash};

#[cfg(feature = "signatures")]
use crate::note::{self, NoteError, VerifierKey};

/// What a checkpoint says: the log called `origin` had `size` leaves with this Merkle root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, usually `host/path` with neither spaces nor plus signs. Never empty, one line.
    pub origin: String,
    /// How many leaves the tree has.
    pub size: u64,
    /// The root of the tree (RFC 9162 §2.1.1).
    pub root: Hash,
}

/// Which part of a text keeps it from being a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not exactly three lines, each ended by a newline. Extension lines are refused: we sign none.
    #[error("a checkpoint has exactly three lines")]
    Lines,
    /// The first line is empty or has control characters.
    #[error("the checkpoint has no valid origin")]
    Origin,
    /// The second line is no decimal number without leading zeros.
    #[error("the checkpoint has no valid tree size")]
    Size,
    /// The third line is not base64 of 32 bytes, or an empty tree has another root than the empty one.
    #[error("the checkpoint has no valid root hash")]
    Root,
}

impl Checkpoint {
    /// The text that gets signed: origin, size and root, a line each. Reads back only if `origin` is one line and not
    /// empty.
    #[must_use]
    pub fn body(&self) -> String {
        let root = digest::base64(&self.root);
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Reads the text of [`Checkpoint::body`]; says nothing about any signature.
    pub fn parse(body: &str) -> Result<Self, CheckpointError> {
        let lines: Vec<&str> = body
            .strip_suffix('\n')
            .ok_or(CheckpointError::Lines)?
            .split('\n')
            .collect();
        let [origin, size, root] = lines[..] else {
            return Err(CheckpointError::Lines);
        };
        if origin.is_empty() || origin.contains(char::is_control) {
            return Err(CheckpointError::Origin);
        }
        let number: u64 = size.parse().map_err(|_| CheckpointError::Size)?;
        if number.to_string() != size {
            return Err(CheckpointError::Size);
        }
        let root = digest::from_base64(root)
            .and_then(digest::exactly)
            .map_err(|_| CheckpointError::Root)?;
        if number == 0 && root != digest::sha256(b"") {
            return Err(CheckpointError::Root);
        }
        Ok(Checkpoint {
            origin: origin.to_owned(),
            size: number,
            root,
        })
    }
}

/// Signs a checkpoint as a note. `name` is the key's name, by custom the origin; it must not be empty or contain
/// spaces or plus signs. Refuses a checkpoint that would not read back.
#[cfg(feature = "signatures")]
pub fn sign(
    checkpoint: &Checkpoint,
    name: &str,
    key: &aws_lc_rs::signature::Ed25519KeyPair,
) -> Result<String, NoteError> {
    let body = checkpoint.body();
    Checkpoint::parse(&body)?;
    Ok(note::sign_text(body, name, key)?.to_string())
}

/// Reads a signed checkpoint if the Ed25519 key `public_key`, under `name`, signed it.
#[cfg(feature = "signatures")]
pub fn verify(note: &str, name: &str, public_key: &[u8; 32]) -> Result<Checkpoint, NoteError> {
    verify_with(note, &[VerifierKey::new(name, *public_key)?])
}

/// Reads a signed checkpoint if one of these keys signed it. Several are for a log whose key was rotated.
#[cfg(feature = "signatures")]
pub fn verify_with(note: &str, trusted: &[VerifierKey]) -> Result<Checkpoint, NoteError> {
    Ok(Checkpoint::parse(&note::verify_text(note, trusted)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_three_lines() {
        // The example of C2SP tlog-checkpoint.
        let body =
            "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let checkpoint = Checkpoint::parse(body).unwrap();
        assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size, 20_852_163);
        assert_eq!(checkpoint.body(), body);
    }

    #[test]
    fn a_body_in_any_other_form_is_refused() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        let refused = |body: String| Checkpoint::parse(&body).unwrap_err();
        assert_eq!(refused(format!("log\n1\n{root}")), CheckpointError::Lines);
        assert_eq!(refused("log\n1\n".into()), CheckpointError::Lines);
        assert_eq!(
            refused(format!("log\n1\n{root}\nmore\n")),
            CheckpointError::Lines
        );
        assert_eq!(refused(format!("\n1\n{root}\n")), CheckpointError::Origin);
        for size in ["01", "+1", "-1", " 1", "", "1e3", "18446744073709551616"] {
            assert_eq!(
                refused(format!("log\n{size}\n{root}\n")),
                CheckpointError::Size
            );
        }
        assert_eq!(refused("log\n1\nAAAA\n".into()), CheckpointError::Root);
        assert_eq!(refused(format!("log\n0\n{root}\n")), CheckpointError::Root);
    }

    #[cfg(feature = "signatures")]
    mod signed {
        use super::super::*;
        use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
        use proptest::prelude::*;

        fn key(seed: u8) -> (Ed25519KeyPair, [u8; 32]) {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
            let public = pair.public_key().as_ref().try_into().unwrap();
            (pair, public)
        }

        fn checkpoint() -> Checkpoint {
            Checkpoint {
                origin: "attorn.example/log".into(),
                size: 3,
                root: [9; 32],
            }
        }

        #[test]
        fn a_signed_checkpoint_verifies_under_its_key_and_name_only() {
            let (pair, public) = key(1);
            let name = "attorn.example/log";
            let note = sign(&checkpoint(), name, &pair).unwrap();
            assert_eq!(verify(&note, name, &public), Ok(checkpoint()));
            assert_eq!(verify(&note, "other", &public), Err(NoteError::NotSigned));
            assert_eq!(verify(&note, name, &key(2).1), Err(NoteError::NotSigned));
            let keys = [key(2).1, public].map(|key| VerifierKey::new(name, key).unwrap());
            assert_eq!(verify_with(&note, &keys), Ok(checkpoint()));
        }

        #[test]
        fn the_signatures_of_witnesses_are_passed_over() {
            let (pair, public) = key(1);
            let note = sign(&checkpoint(), "log", &pair).unwrap();
            let witnessed = note + "— witness.example/w AAAAAAABAgM=\n";
            assert_eq!(verify(&witnessed, "log", &public), Ok(checkpoint()));
        }

        #[test]
        fn one_false_signature_of_a_trusted_key_spoils_the_note() {
            let (pair, public) = key(1);
            let good = sign(&checkpoint(), "log", &pair).unwrap();
            let other = Checkpoint {
                size: 4,
                ..checkpoint()
            };
            let foreign = sign(&other, "log", &pair).unwrap();
            let line = foreign.lines().last().unwrap();
            let name = "log".to_owned();
            let refused = Err(NoteError::WrongSignature { name });
            assert_eq!(verify(&format!("{good}{line}\n"), "log", &public), refused);
        }

        #[test]
        fn a_signed_text_that_is_no_checkpoint_is_refused() {
            let (pair, public) = key(1);
            let note = note::sign_text("hello\n".into(), "log", &pair).unwrap();
            let refused = NoteError::Checkpoint(CheckpointError::Lines);
            assert_eq!(verify(&note.to_string(), "log", &public), Err(refused));
            let two_lines = Checkpoint {
                origin: "a\nb".into(),
                ..checkpoint()
            };
            assert!(sign(&two_lines, "log", &pair).is_err());
            assert_eq!(sign(&checkpoint(), "a b", &pair), Err(NoteError::KeyName));
        }

        proptest! {
            #[test]
            fn a_flipped_bit_in_a_signed_checkpoint_never_verifies(at in any::<prop::sample::Index>(), bit in 0u8..8) {
                let (pair, public) = key(1);
                let mut note = sign(&checkpoint(), "log", &pair).unwrap().into_bytes();
                let at = at.index(note.len());
                note[at] ^= 1 << bit;
                if let Ok(note) = String::from_utf8(note) {
                    prop_assert!(verify(&note, "log", &public).is_err());
                }
            }
        }
    }
}
