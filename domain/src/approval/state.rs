//! The life of an approval.

use std::fmt;
use std::str::FromStr;

/// Where an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody has decided yet.
    Pending,
    /// Approved; the agent has not fetched its token yet.
    Approved,
    /// Denied by a person.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// Taken back by the agent.
    Cancelled,
    /// Approved and redeemed for a token, once.
    Consumed,
}

/// What can happen to an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A person approves.
    Approve,
    /// A person denies.
    Deny,
    /// Its time runs out.
    Expire,
    /// The agent takes it back.
    Cancel,
    /// The agent redeems it.
    Consume,
}

/// A change that this state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the approval is already {state}")]
pub struct Refused {
    /// Where the approval stands.
    pub state: State,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Approved,
        Self::Denied,
        Self::Expired,
        Self::Cancelled,
        Self::Consumed,
    ];

    /// The state after a change. The whole machine stands in this table.
    ///
    /// # Errors
    /// [`Refused`], with the state that does not allow it.
    pub const fn after(self, change: Change) -> Result<Self, Refused> {
        match (self, change) {
            (Self::Pending, Change::Approve) => Ok(Self::Approved),
            (Self::Pending, Change::Deny) => Ok(Self::Denied),
            (Self::Pending, Change::Expire) => Ok(Self::Expired),
            (Self::Pending, Change::Cancel) => Ok(Self::Cancelled),
            (Self::Approved, Change::Consume) => Ok(Self::Consumed),
            (state, _) => Err(Refused { state }),
        }
    }

    /// Whether nothing can happen to it any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Approved)
    }

    /// The word in rows and on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Consumed => "consumed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

impl FromStr for State {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|state| state.word() == word)
            .ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_change() -> impl Strategy<Value = Change> {
        prop_oneof![
            Just(Change::Approve),
            Just(Change::Deny),
            Just(Change::Expire),
            Just(Change::Cancel),
            Just(Change::Consume),
        ]
    }

    proptest! {
        #[test]
        fn no_sequence_of_changes_leaves_a_terminal_state(changes in prop::collection::vec(any_change(), 0..40)) {
            let mut state = State::Pending;
            let mut ended = None;
            for change in changes {
                if let Ok(next) = state.after(change) {
                    prop_assert!(ended.is_none(), "{ended:?} was left for {next:?}");
                    state = next;
                }
                if state.is_terminal() {
                    ended = Some(state);
                }
            }
        }

        #[test]
        fn only_an_approved_request_is_ever_consumed(changes in prop::collection::vec(any_change(), 0..40)) {
            let mut seen = vec![State::Pending];
            for change in changes {
                if let Ok(next) = seen[seen.len() - 1].after(change) {
                    seen.push(next);
                }
            }
            if seen.contains(&State::Consumed) {
                prop_assert_eq!(seen, vec![State::Pending, State::Approved, State::Consumed]);
            }
        }
    }

    #[test]
    fn every_state_is_read_back_from_its_word() {
        for state in State::ALL {
            assert_eq!(state.word().parse(), Ok(state));
        }
    }
}
