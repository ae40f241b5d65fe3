//! What the audit log says of a decision: that it was made with this evidence, and whose passkey it was.

use super::{DecisionError, DecisionEvidence, MAX_EVIDENCE, Proved};
use crate::challenge::Decision;
use crate::digest::{base64url, sha256};
use crate::json::{Limits, parse_strict_object};
use crate::leaf::Leaf;
use serde_json::Value;
use std::fmt;

/// A decision, proved from its evidence and found in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// What the evidence proves by itself.
    pub proved: Proved,
    /// The passkey's id here.
    pub passkey: String,
    /// When it was added, in Unix milliseconds, as the log says.
    pub added_at: i64,
    /// When the decision was made, in Unix milliseconds, as the log says.
    pub decided_at: i64,
    /// What the person read: headline, then each line.
    pub shown: Vec<(String, String)>,
}

impl fmt::Display for Attested {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let proved = &self.proved;
        let chosen = match proved.decision {
            Decision::Approve => "approved",
            Decision::Deny => "denied",
        };
        writeln!(
            formatter,
            "{} {chosen} {} with passkey {} at {} (Unix milliseconds).",
            proved.person, proved.approval, self.passkey, self.decided_at
        )?;
        writeln!(
            formatter,
            "It was asked by {} at {}.",
            proved.client, proved.issuer
        )?;
        writeln!(
            formatter,
            "The passkey was added at {}, {}.",
            self.added_at,
            bound(proved)
        )?;
        writeln!(
            formatter,
            "What was read (digest {}):",
            base64url(&proved.text_digest)
        )?;
        for (label, value) in &self.shown {
            writeln!(formatter, "  {label}: {value:?}")?;
        }
        match &proved.call_digest {
            Some(digest) => write!(
                formatter,
                "The exact call has the digest {}.",
                base64url(digest)
            ),
            None => write!(formatter, "Attorn made no call for it."),
        }
    }
}

fn bound(proved: &Proved) -> &'static str {
    if proved.device_bound {
        "and cannot leave its device"
    } else {
        "and may be synced to other devices of the person"
    }
}

/// Why a decision is not proved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAttested {
    /// The evidence proves nothing by itself.
    #[error("The evidence proves nothing: {0}.")]
    Evidence(#[from] DecisionError),
    /// The log has no such decision with this evidence.
    #[error("The log has no decision on {approval} that was made with this evidence.")]
    NoDecision {
        /// The approval.
        approval: String,
    },
    /// The log does not say that this passkey was the person's.
    #[error("The log does not say that the passkey was one of {person} when they decided.")]
    Passkey {
        /// The person.
        person: String,
    },
}

/// Reads leaves of a log one after the other, and says in the end what they say of one decision. Whether the leaves
/// themselves are as they were signed, [`crate::verify`] says.
#[derive(Debug)]
pub struct InLog {
    proved: Proved,
    evidence: String,
    key: String,
    shown: Vec<(String, String)>,
    passkey: Option<(String, i64)>,
    found: Option<(String, i64, i64)>,
}

impl InLog {
    /// For the evidence with this JSON text, which must prove its decision by itself.
    ///
    /// # Errors
    /// [`NotAttested::Evidence`].
    pub fn new(text: &str) -> Result<Self, NotAttested> {
        let evidence = DecisionEvidence::parse(text.as_bytes())?;
        let proved = evidence.prove()?;
        Ok(Self {
            evidence: base64url(&sha256(text.as_bytes())),
            key: base64url(&proved.key_digest),
            shown: read(&evidence.shown),
            proved,
            passkey: None,
            found: None,
        })
    }

    /// The next leaf, in the order of the log.
    pub fn read(&mut self, leaf: &Leaf) {
        let text = |name: &str| leaf.data.get(name).and_then(Value::as_str);
        // Of several who must approve, all but the last one agree.
        let decisions: &[&str] = match self.proved.decision {
            Decision::Approve => &["approval.approved", "approval.agreed"],
            Decision::Deny => &["approval.denied"],
        };
        let theirs = leaf.person.as_deref() == Some(self.proved.person.as_str());
        if !theirs {
            return;
        }
        match leaf.kind.as_str() {
            "passkey.added" if text("key") == Some(&self.key) => {
                self.passkey = text("passkey").map(|id| (id.to_owned(), leaf.at));
            }
            "passkey.revoked" if text("key") == Some(&self.key) => self.passkey = None,
            kind if decisions.contains(&kind)
                && leaf.approval.as_deref() == Some(self.proved.approval.as_str())
                && leaf.client.as_deref() == Some(self.proved.client.as_str())
                && text("evidence") == Some(&self.evidence)
                && text("key") == Some(&self.key) =>
            {
                // Whose passkey it was at that very place in the log; an empty name is nobody's.
                let (id, added) = self.passkey.clone().unwrap_or_default();
                self.found = Some((id, added, leaf.at));
            }
            _ => {}
        }
    }

    /// What all of it says.
    ///
    /// # Errors
    /// [`NotAttested::NoDecision`], [`NotAttested::Passkey`].
    pub fn end(self) -> Result<Attested, NotAttested> {
        let Some((passkey, added_at, decided_at)) = self.found else {
            return Err(NotAttested::NoDecision {
                approval: self.proved.approval,
            });
        };
        if passkey.is_empty() {
            return Err(NotAttested::Passkey {
                person: self.proved.person,
            });
        }
        Ok(Attested {
            proved: self.proved,
            passkey,
            added_at,
            decided_at,
            shown: self.shown,
        })
    }
}

/// The lines of a text that [`DecisionEvidence::prove`] has found canonical.
fn read(shown: &str) -> Vec<(String, String)> {
    let limits = Limits {
        bytes: MAX_EVIDENCE,
        ..Limits::BODY
    };
    let shown = parse_strict_object(shown.as_bytes(), limits).unwrap_or_default();
    let text = |value: Option<&Value>| {
        let text = value.and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let mut lines = vec![("Headline".to_owned(), text(shown.get("title")))];
    let fields = shown.get("fields").and_then(Value::as_array);
    lines.extend(
        fields
            .into_iter()
            .flatten()
            .map(|field| (text(field.get("label")), text(field.get("value")))),
    );
    lines
}
