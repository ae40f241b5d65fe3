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
//! - Where a passkey is needed ([`PasskeyPolicy`]), its signature over exactly
//!   this is kept, and judged again before a token is issued and before a call
//!   is sent.
//! - What policies ask for ([`policies`]) is fixed when a request is made.
//! - A row carries a MAC over everything in it; one that was changed by
//!   another hand is refused on load.

mod ask;
mod ask_error;
mod binding;
mod call;
pub mod channels;
mod decide;
mod execute;
#[cfg(test)]
mod fuzz;
mod lookalikes;
mod memory;
pub mod mutes;
pub mod policies;
pub mod push;
mod read;
mod redeem;
mod render;
mod signing;
mod sql;
mod state;
pub mod types;

pub use ask::{Ask, Asked, DEFAULT_EXPIRY_S, MAX_EXPIRY_S, PersonHint, Shows, ask, ask_showing};
pub use ask_error::AskError;
pub(crate) use binding::is_deceptive;
pub use binding::{BindingMessage, MAX_BINDING_MESSAGE};
pub use call::{AgentCall, ExactCall, NotEqual};
pub use decide::{
    Channel, Decide, DecideError, Decision, cancel, cancel_by_auth_req, decide, decide_saying,
    decide_signed, expire_due,
};
pub use execute::{CallEnd, CallError, call_ended, consume_call, settle_lost_calls};
pub(crate) use lookalikes::is_lookalike;
pub use memory::Memory;
pub(crate) use read::of_client;
pub use read::{
    Approval, CallState, DecisionMade, Filter, NOT_SENT, Outcome, decisions, find_by_auth_req,
    find_by_binding_message, get, list, pending_count, seen_by,
};
pub use redeem::RedeemError;
#[cfg(any(test, feature = "testing"))]
pub use redeem::poll_and_redeem;
pub(crate) use redeem::{consume, poll};
pub use render::{EnforcedBy, Field, Risk, Shown, visible};
pub use signing::{
    PasskeyPolicy, Signing, all_evidence_of, challenge, challenge_of, evidence_of, signing,
    signing_of,
};
pub use state::{Change, Refused, State};

/// How long an approved call may be made after the decision, in milliseconds.
/// The page says "within 10 minutes".
pub const CALL_WINDOW_MS: i64 = 10 * 60 * 1000;
