//! The refresh protocol as one pure function.
//!
//! [`step`] takes where a refresh stands and what just happened, and answers
//! where it stands then and the one thing to do next. `refresh.rs` does these
//! things for real; `step_model` tries every schedule of several instances with
//! crashes and lost answers against a model of the rest.
//!
//! The order that promise 1 rests on: lease → durable intent → provider call →
//! answer sealed as a candidate → compare-and-swap makes it current → only then
//! is a token released. A candidate whose parent is the current refresh token
//! is always chosen before anybody asks the provider again.

use super::Reason;

/// How often one refresh may begin again before it gives up for now.
const TRIES: u8 = 4;

/// Where a refresh stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    phase: Phase,
    tries: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Start,
    /// Reading the grant, with the lease or without.
    Looking {
        leased: bool,
    },
    Leasing,
    Waiting {
        counter: i64,
    },
    Intending {
        unresolved: bool,
    },
    Calling {
        unresolved: bool,
    },
    Keeping,
    Choosing {
        leased: bool,
    },
    Settling {
        then: Then,
    },
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Then {
    Again,
    Finish(Outcome),
}

/// What a look at the rows showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct View {
    /// The account was unlinked.
    pub gone: bool,
    /// Nobody has refreshed it since the caller looked.
    pub stale: bool,
    /// There is a refresh token.
    pub can_refresh: bool,
    /// A stored answer descends from the current refresh token and was not chosen.
    pub candidate: bool,
    /// An earlier call with the current refresh token may have been carried out unanswered.
    pub unresolved: bool,
    /// It was found to need its person before.
    pub ended: Option<Reason>,
}

/// What just happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Event {
    Begin,
    Seen(View),
    LeaseTaken,
    /// Somebody else has it; `counter` names that holding.
    LeaseHeld {
        counter: i64,
    },
    /// The holding we waited on is over.
    LeaseFreed,
    /// It has stood unchanged for longer than a call can take.
    LeaseOverdue,
    IntentWritten,
    /// The lease or the grant changed under us.
    IntentMoved,
    Answered,
    /// The provider said no.
    Refused(Refusal),
    /// Surely not carried out.
    NotDone {
        retry_after_s: Option<u64>,
    },
    /// Perhaps carried out; the answer is lost.
    Unanswered {
        retry_after_s: Option<u64>,
    },
    /// The lease is too old to send anything.
    TooLate,
    Kept,
    /// The account was unlinked meanwhile; the answer was queued for revocation.
    KeptForRevocation,
    Chosen,
    /// The compare-and-swap failed: the grant moved. The candidate stays.
    NotChosen,
    Settled,
    /// The grant moved meanwhile, or an answer was stored: look again.
    Moved,
}

/// What a provider's no means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Refusal {
    /// `invalid_grant`.
    Grant,
    /// `invalid_grant`, as one of many at once: perhaps the provider's mistake.
    Suspect,
    /// `invalid_client`: the connection's fault.
    Client(String),
    /// Anything else.
    Other(String),
}

/// The one thing to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Effect {
    /// Read account, grant, candidates and open intents.
    Look,
    /// Take the lease; with `over`, take it from that holding.
    TakeLease { over: Option<i64> },
    /// Wait until that holding is over, or surely dead.
    AwaitLease { counter: i64 },
    /// Write down, durably, what is about to be asked.
    WriteIntent,
    /// Ask the provider.
    AskProvider,
    /// Seal and store the answer.
    KeepAnswer,
    /// Make the newest candidate current; ends intent and lease in the same write.
    Choose,
    /// End the intent and the lease with this result.
    Settle(Settlement),
    /// Let go of the lease.
    Release,
    /// It is over.
    Finish(Outcome),
}

/// How an intent ends without a new token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Settlement {
    /// Nothing was done at the provider.
    NotDone,
    /// It may have been.
    Unknown,
    /// The provider refused; the grant stays as it was.
    Refused(String),
    /// The connection's client was refused.
    ClientRefused(String),
    /// Only the person can mend it.
    Ended(Reason),
    /// To be asked about again before anybody believes it.
    Suspect,
}

/// How long a refusal that nobody believes yet is left alone (seconds).
pub(super) const SUSPECT_S: u64 = 600;

/// What a refresh came to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    /// The grant is fresh.
    Fresh,
    /// The account is gone.
    Gone,
    /// Only the person can mend it.
    Reconnect(Reason),
    /// Try again later.
    Down {
        retry_after_s: Option<u64>,
        ambiguous: bool,
    },
    /// The provider refused, by this code.
    Refused(String),
}

impl State {
    pub(super) const fn start() -> Self {
        Self {
            phase: Phase::Start,
            tries: 0,
        }
    }

    fn to(&self, phase: Phase) -> Self {
        Self {
            phase,
            tries: self.tries,
        }
    }
}

/// The next state and the next thing to do.
pub(super) fn step(state: &State, event: Event) -> (State, Effect) {
    use Phase::{
        Calling, Choosing, Intending, Keeping, Leasing, Looking, Over, Settling, Start, Waiting,
    };
    let finish = |outcome| (state.to(Over), Effect::Finish(outcome));
    let settle = |settlement, outcome| {
        (
            state.to(Settling {
                then: Then::Finish(outcome),
            }),
            Effect::Settle(settlement),
        )
    };
    // Ends without a call: with the lease, let go of it first.
    let end = |leased: bool, outcome: Outcome| {
        if leased {
            (
                state.to(Settling {
                    then: Then::Finish(outcome),
                }),
                Effect::Release,
            )
        } else {
            finish(outcome)
        }
    };
    match (&state.phase, event) {
        (Start, Event::Begin) => (state.to(Looking { leased: false }), Effect::Look),
        (Looking { leased }, Event::Seen(view)) => {
            let leased = *leased;
            if view.gone {
                end(leased, Outcome::Gone)
            } else if view.candidate {
                // Evidence that the call is over: no need of the lease.
                (state.to(Choosing { leased }), Effect::Choose)
            } else if !view.stale {
                end(leased, Outcome::Fresh)
            } else if let Some(reason) = view.ended {
                end(leased, Outcome::Reconnect(reason))
            } else if !leased {
                (state.to(Leasing), Effect::TakeLease { over: None })
            } else if view.can_refresh {
                (
                    state.to(Intending {
                        unresolved: view.unresolved,
                    }),
                    Effect::WriteIntent,
                )
            } else {
                let reason = Reason::NothingToRefresh;
                settle(Settlement::Ended(reason), Outcome::Reconnect(reason))
            }
        }
        (Leasing, Event::LeaseTaken) => (state.to(Looking { leased: true }), Effect::Look),
        (Leasing, Event::LeaseHeld { counter }) => (
            state.to(Waiting { counter }),
            Effect::AwaitLease { counter },
        ),
        // The provider is being spared: nothing is held, nothing was asked.
        (Leasing, Event::NotDone { retry_after_s }) => finish(Outcome::Down {
            retry_after_s,
            ambiguous: false,
        }),
        // The holder may have left a result: look before taking anything.
        (Waiting { .. }, Event::LeaseFreed) => again(state),
        (Waiting { counter }, Event::LeaseOverdue) => (
            state.to(Leasing),
            Effect::TakeLease {
                over: Some(*counter),
            },
        ),
        (Intending { unresolved }, Event::IntentWritten) => (
            state.to(Calling {
                unresolved: *unresolved,
            }),
            Effect::AskProvider,
        ),
        (Intending { .. }, Event::IntentMoved) => again(state),
        (Calling { .. }, Event::Answered) => (state.to(Keeping), Effect::KeepAnswer),
        (Calling { unresolved }, Event::Refused(Refusal::Grant)) => {
            // After a lost answer this may be the provider's way of saying
            // that the old token was spent by it: another story for people.
            let reason = if *unresolved {
                Reason::AnswerLost
            } else {
                Reason::Revoked
            };
            settle(Settlement::Ended(reason), Outcome::Reconnect(reason))
        }
        (Calling { .. }, Event::Refused(Refusal::Suspect)) => settle(
            Settlement::Suspect,
            Outcome::Down {
                retry_after_s: Some(SUSPECT_S),
                ambiguous: false,
            },
        ),
        (Calling { .. }, Event::Refused(Refusal::Client(code))) => settle(
            Settlement::ClientRefused(code.clone()),
            Outcome::Refused(code),
        ),
        (Calling { .. }, Event::Refused(Refusal::Other(code))) => {
            settle(Settlement::Refused(code.clone()), Outcome::Refused(code))
        }
        (Calling { .. }, Event::NotDone { retry_after_s }) => settle(
            Settlement::NotDone,
            Outcome::Down {
                retry_after_s,
                ambiguous: false,
            },
        ),
        (Calling { .. }, Event::Unanswered { retry_after_s }) => settle(
            Settlement::Unknown,
            Outcome::Down {
                retry_after_s,
                ambiguous: true,
            },
        ),
        (Calling { .. }, Event::TooLate) => (
            state.to(Settling { then: Then::Again }),
            Effect::Settle(Settlement::NotDone),
        ),
        (Keeping, Event::Kept) => (state.to(Choosing { leased: true }), Effect::Choose),
        (Keeping, Event::KeptForRevocation) => end(true, Outcome::Gone),
        (Choosing { .. }, Event::Chosen) => again(state),
        (Choosing { leased }, Event::NotChosen) => {
            if *leased {
                (state.to(Settling { then: Then::Again }), Effect::Release)
            } else {
                again(state)
            }
        }
        (
            Settling {
                then: Then::Finish(outcome),
            },
            Event::Settled,
        ) => finish(outcome.clone()),
        (Settling { then: Then::Again }, Event::Settled) | (Settling { .. }, Event::Moved) => {
            again(state)
        }
        // No driver can bring this about; giving up for now loses nothing.
        (_, _) => finish(Outcome::Down {
            retry_after_s: None,
            ambiguous: false,
        }),
    }
}

fn again(state: &State) -> (State, Effect) {
    let tries = state.tries + 1;
    if tries >= TRIES {
        let outcome = Outcome::Down {
            retry_after_s: Some(1),
            ambiguous: false,
        };
        return (
            State {
                phase: Phase::Over,
                tries,
            },
            Effect::Finish(outcome),
        );
    }
    (
        State {
            phase: Phase::Looking { leased: false },
            tries,
        },
        Effect::Look,
    )
}

#[cfg(test)]
#[path = "step_model/mod.rs"]
mod model;
#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
