//! Approvals: asking, deciding, polling, redeeming.

mod asking;
mod deciding;
mod story;
