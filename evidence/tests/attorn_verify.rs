//! The stand-alone verifier, run as somebody would.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use evidence::checkpoint::{self, Checkpoint};
use evidence::leaf::Leaf;
use evidence::merkle::{leaf_hash, root};
use evidence::note::VerifierKey;
use evidence::verify::export_line;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

const NAME: &str = "attorn.example/audit/dep_1";

struct Export {
    folder: PathBuf,
    key: String,
}

impl Export {
    /// Three entries, signed after the second and the third.
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        let leaves: Vec<_> = (0..3)
            .map(|n| Leaf::new(format!("evt_{n}"), 1000 + n, "call.made", "dep_1").bytes())
            .collect();
        let hashes: Vec<_> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        let notes = [3_usize, 2].map(|size| {
            let checkpoint = Checkpoint {
                origin: NAME.into(),
                size: size as u64,
                root: root(&hashes[..size]),
            };
            checkpoint::sign(&checkpoint, NAME, &pair).unwrap()
        });
        let lines = (0..)
            .zip(&leaves)
            .map(|(index, leaf)| export_line(index, leaf) + "\n");
        fs::write(folder.join("entries"), lines.collect::<String>()).unwrap();
        fs::write(folder.join("checkpoints"), notes.join("\n")).unwrap();
        fs::write(folder.join("outside"), &notes[1]).unwrap();
        let key = VerifierKey::new(NAME, public).unwrap().to_string();
        Export { folder, key }
    }

    fn verify(&self, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_attorn-verify"))
            .current_dir(&self.folder)
            .args(["--key", &self.key])
            .args(more)
            .output()
            .unwrap()
    }
}

#[test]
fn a_sound_export_is_reported_and_exits_0() {
    let output = Export::new("sound").verify(&["--outside", "outside", "entries", "checkpoints"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        said,
        format!(
            "All 3 entries of {NAME} are as they were signed, and the first 2 as the outside checkpoint has them.\n"
        )
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_changed_export_is_named_and_exits_1() {
    let export = Export::new("changed");
    let entries = fs::read_to_string(export.folder.join("entries")).unwrap();
    let first_gone = entries.split_once('\n').unwrap().1;
    fs::write(export.folder.join("entries"), first_gone).unwrap();
    let output = export.verify(&["entries", "checkpoints"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "Entry 0 was dropped: no line of the export has it.\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_cannot_be_checked_exits_2() {
    let export = Export::new("unreadable");
    for args in [
        &["entries"][..],
        &["entries", "nowhere"],
        &["nowhere", "checkpoints"],
        &["--key", "x", "entries", "checkpoints"],
        &["--wrong", "entries", "checkpoints"],
        &["entries", "checkpoints", "--outside"],
    ] {
        let output = export.verify(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty());
    }
}
