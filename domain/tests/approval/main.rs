//! Approvals: asking, deciding, polling, redeeming.

mod asking;
mod by_heart;
mod deciding;
mod forging;
mod notices;
mod policy;
mod proving;
mod signing;
mod story;
