//! Approvals: asking, deciding, polling, redeeming.

mod approvers;
mod asking;
mod by_heart;
mod channels;
mod deciding;
mod forging;
mod muting;
mod notices;
mod policy;
mod proving;
mod signing;
mod story;
