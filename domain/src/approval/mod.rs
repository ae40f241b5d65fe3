//! Approvals: before a high-stakes action an agent asks, a person decides
//! (OpenID Connect CIBA Core 1.0), and only what they saw is done.
//!
//! What always holds here:
//! - One state machine ([`State`]): `pending → approved | denied | expired |
//!   cancelled`, `approved → consumed`. Every move is a compare-and-swap in
//!   SQL; nothing leaves a terminal state.
//! - `auth_req_id` is a credential of the agent's: only its keyed hash is
//!   kept, and pages carry the public id of the approval.
//! - What a person reads ([`Shown`]) is rendered by us; for a type that Attorn
//!   executes it is rendered from the very bytes that will be sent
//!   ([`ExactCall`]), never from text the agent chose as a headline.
//! - An approval is consumed before a token is issued for it, and an approved
//!   call is noted before its first byte is sent: once, or not at all.
//! - Decisions lie apart from approvals, so that several people can be asked.
//! - A row carries a MAC over everything in it; one that was changed by
//!   another hand is refused on load.

mod ask;
mod ask_error;
mod binding;
mod call;
mod decide;
mod execute;
mod read;
mod redeem;
mod render;
mod sql;
mod state;
pub mod types;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

pub use ask::{Ask, Asked, DEFAULT_EXPIRY_S, MAX_EXPIRY_S, PersonHint, ask};
pub use ask_error::AskError;
pub use binding::{BindingMessage, MAX_BINDING_MESSAGE};
pub use call::{AgentCall, ExactCall, NotEqual};
pub use decide::{Channel, Decide, DecideError, Decision, cancel, decide, expire_due};
pub use execute::{CallEnd, CallError, call_ended, consume_call, settle_lost_calls};
pub use read::{
    Approval, CallState, DecisionMade, Filter, NOT_SENT, Outcome, decisions, find_by_auth_req,
    find_by_binding_message, get, list, pending_count,
};
pub use redeem::{INTERVAL_S, RedeemError, Redeemed, poll_and_redeem};
pub use render::{EnforcedBy, Field, Risk, Shown, visible};
pub use state::{Change, Refused, State};

/// How long an approved call may be made after the decision, in milliseconds.
/// The page says "within 10 minutes".
pub const CALL_WINDOW_MS: i64 = 10 * 60 * 1000;

/// When a client last asked about one approval, and how long it must wait.
#[derive(Clone, Copy)]
struct Pace {
    /// Monotonic milliseconds of the last poll.
    last: i64,
    /// Seconds to wait; grows by five with every poll that comes too soon.
    interval_s: i64,
}

/// How many paces are kept; beyond that the oldest go, and a client that had
/// to wait may ask at once: harmless, since a poll is only a read.
const MOST_PACES: usize = 100_000;

/// What this room keeps in memory: when each request was last polled, keyed by
/// the hash of its `auth_req_id`. Losing it costs nobody anything.
#[derive(Default)]
pub struct Memory {
    paces: Mutex<HashMap<[u8; 32], Pace>>,
}

impl Memory {
    /// Notes a poll of a pending request at `now` (monotonic milliseconds).
    /// `Err` is the number of seconds to wait (CIBA Core §11: `slow_down` adds
    /// at least five seconds to the interval).
    fn poll(&self, key: [u8; 32], now: i64) -> Result<(), i64> {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        if paces.len() >= MOST_PACES && !paces.contains_key(&key) {
            let oldest = now.saturating_sub(60_000);
            paces.retain(|_, pace| pace.last > oldest);
            if paces.len() >= MOST_PACES {
                paces.clear();
            }
        }
        match paces.get_mut(&key) {
            // The first poll may come at once.
            None => {
                let interval_s = INTERVAL_S;
                paces.insert(
                    key,
                    Pace {
                        last: now,
                        interval_s,
                    },
                );
                Ok(())
            }
            Some(pace) => {
                let due = pace.last.saturating_add(pace.interval_s * 1000);
                pace.last = now;
                if now >= due {
                    return Ok(());
                }
                pace.interval_s = (pace.interval_s + 5).min(60);
                Err(pace.interval_s)
            }
        }
    }

    fn forget(&self, key: &[u8; 32]) {
        self.paces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_poll_comes_at_once_and_a_hasty_one_waits_longer_each_time() {
        let memory = Memory::default();
        let key = [1; 32];
        assert_eq!(memory.poll(key, 0), Ok(()));
        assert_eq!(memory.poll(key, 1_000), Err(10));
        assert_eq!(memory.poll(key, 2_000), Err(15));
        assert_eq!(memory.poll(key, 17_000), Ok(()));
        assert_eq!(memory.poll([2; 32], 0), Ok(()));
    }
}
