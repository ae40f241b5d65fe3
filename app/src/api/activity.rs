//! Events in plain words.

use serde::{Deserialize, Serialize};

use super::{Stamp, Tone};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActivityRow {
    /// Event id.
    pub id: String,
    /// What happened, as a sentence.
    pub words: String,
    /// Its shape and colour.
    pub tone: Tone,
    /// When.
    pub at: Stamp,
    /// The day it belongs to, in full.
    pub day: String,
    /// Where to read more, if anywhere.
    pub href: Option<String>,
}

/// What a list of events holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum About {
    /// Everything but the routine of tokens.
    #[default]
    All,
    /// Approvals and decisions.
    Approvals,
    /// Calls and releases.
    Uses,
    /// Accounts and permissions.
    Accounts,
    /// Sign-ins.
    SignIns,
    /// Tokens, ours and the providers'.
    Tokens,
}

impl About {
    /// Every filter with its word in the address.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::All, "all"),
        (Self::Approvals, "approvals"),
        (Self::Uses, "uses"),
        (Self::Accounts, "accounts"),
        (Self::SignIns, "sign-ins"),
        (Self::Tokens, "tokens"),
    ];

    /// The filter a word in the address stands for; unknown words stand for everything.
    #[must_use]
    pub fn of(word: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|(_, known)| *known == word)
            .map_or(Self::All, |(about, _)| about)
    }

    /// Whether a kind of event belongs to it.
    #[must_use]
    pub fn holds(self, kind: &str) -> bool {
        let room = kind.split('.').next().unwrap_or_default();
        match self {
            Self::All => kind != "token.issued" && kind != "grant.refreshed",
            Self::Approvals => room == "approval",
            Self::Uses => {
                room == "call" || kind == "token.released" || kind == "token.release_refused"
            }
            Self::Accounts => matches!(room, "account" | "permission" | "grant" | "consent"),
            Self::SignIns => room == "session",
            Self::Tokens => matches!(room, "token" | "grant"),
        }
    }
}

/// The key of a kind's sentence: `token.released` → `event-token-released`.
#[must_use]
pub fn key(kind: &str) -> String {
    format!("event-{}", kind.replace(['.', '_'], "-"))
}

#[cfg(feature = "ssr")]
pub(crate) mod ssr {
    use std::collections::HashMap;

    use domain::audit::{self, EventView, Filter};
    use domain::vault::accounts;

    use super::super::accounts::ssr::client_names;
    use super::super::{Problem, Seen, Tone, stamp};
    use super::{About, ActivityRow, key};
    use crate::words::{known, t, tv};

    /// One page of events.
    pub struct Page {
        /// The newest first.
        pub rows: Vec<ActivityRow>,
        /// Where the next page begins, if there may be one.
        pub older: Option<String>,
    }

    /// What happened to the person who looks, as far as the filter holds it.
    pub async fn list(
        seen: &Seen,
        about: About,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Page, Problem> {
        let filter = Filter {
            // A place that is none shows the newest.
            before: before.and_then(|text| text.parse().ok()),
            ..Filter::default()
        };
        let events =
            audit::list_for_person(&seen.engine, &seen.viewer.person_id, &filter, audit::MOST)
                .await?;
        let names = client_names(seen).await?;
        let labels: HashMap<String, String> = accounts::list(&seen.engine, &seen.viewer.person_id)
            .await?
            .into_iter()
            .map(|account| (account.id, account.label))
            .collect();
        let now = seen.engine.now();
        let full = events.len() == audit::MOST;
        let mut shown: Vec<&EventView> = events
            .iter()
            .filter(|event| about.holds(&event.kind))
            .collect();
        // What is left out here, or lies behind the last one, is on the next page.
        let last = if shown.len() > limit {
            shown.truncate(limit);
            shown.last().map(|event| event.cursor().to_string())
        } else if full {
            events.last().map(|event| event.cursor().to_string())
        } else {
            None
        };
        Ok(Page {
            rows: shown
                .into_iter()
                .map(|event| row(event, &names, &labels, now))
                .collect(),
            older: last,
        })
    }

    fn row(
        event: &EventView,
        names: &HashMap<String, String>,
        labels: &HashMap<String, String>,
        now: i64,
    ) -> ActivityRow {
        let agent = event
            .client_id
            .as_ref()
            .map_or_else(|| t("somebody"), |id| names.get(id).unwrap_or(id).clone());
        let account = event
            .account_id
            .as_ref()
            .and_then(|id| labels.get(id).cloned())
            .or_else(|| {
                let connection = event.data.get("connection")?.as_str()?;
                Some(connection.to_owned())
            })
            .unwrap_or_else(|| t("an-account"));
        let blanks = [("agent", agent.as_str()), ("account", account.as_str())];
        let at = stamp(now, event.at);
        ActivityRow {
            id: event.id.clone(),
            words: known(&key(&event.kind), &blanks)
                .unwrap_or_else(|| tv("event-unknown", &[("kind", &event.kind)])),
            tone: tone(&event.kind),
            day: at.full.split(',').next().unwrap_or_default().to_owned(),
            at,
            href: href(event),
        }
    }

    fn href(event: &EventView) -> Option<String> {
        if let Some(id) = &event.approval_id {
            return Some(format!("/approve/{id}"));
        }
        if let Some(id) = &event.run_id {
            return Some(format!("/agent/runs/{id}"));
        }
        event
            .account_id
            .as_ref()
            .map(|id| format!("/accounts/{id}"))
    }

    /// The shape that goes with a kind of event.
    pub fn tone(kind: &str) -> Tone {
        match kind {
            "approval.requested" | "connect.asked" => Tone::Wait,
            "approval.denied"
            | "call.refused"
            | "token.release_refused"
            | "session.refused"
            | "connect.refused"
            | "consent.refused" => Tone::No,
            "account.reconnect"
            | "account.link_failed"
            | "grant.refresh_failed"
            | "approval.call_failed"
            | "approval.call_unknown"
            | "token.new_network"
            | "token.reused" => Tone::Bad,
            "approval.expired" | "approval.cancelled" | "account.unlinked"
            | "session.signed_out" | "permission.revoked" | "consent.revoked" | "token.revoked"
            | "grant.revoked" | "run.ended" => Tone::Quiet,
            _ => Tone::Good,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn no_kind_is_out_of_reach() {
            for kind in audit::Kind::ALL {
                let word = kind.word();
                assert!(
                    About::All.holds(word) || About::Tokens.holds(word),
                    "{word}"
                );
            }
        }

        #[test]
        fn a_release_is_a_use_and_a_sign_in_is_none() {
            assert!(About::Uses.holds("token.released"));
            assert!(About::Uses.holds("call.made"));
            assert!(!About::Uses.holds("session.signed_in"));
            assert_eq!(About::of("nonsense"), About::All);
        }
    }
}
