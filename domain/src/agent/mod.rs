//! The embedded agent: a client like any other, living in the same process.
//!
//! What always holds here:
//! - No back door. It authenticates as a client, asks the person's consent by
//!   `/authorize` like any other, keeps its own refresh token per person
//!   (sealed), asks for approvals, and reaches providers only through the
//!   proxy with its own tokens. A test limits which rooms it may import.
//! - Runs are durable: what a run waits for lies in its row, and every step is
//!   written before it is begun. A step that may have changed the world and
//!   whose end is not known is never begun again.
//! - The planner is a table of sentences, and says so.
//!
//! The map: [`planner`] turns a sentence into a [`planner::Plan`], `tools`
//! turns a plan into requests and answers into rows, `carry` carries a plan
//! out, [`runs`] keeps runs, [`drive()`] moves them on, [`consent`] gets the
//! agent its tokens.

mod carry;
pub mod consent;
mod drive;
pub mod planner;
pub mod runs;
mod sql;
mod sql_drive;
mod sql_tokens;
mod steps;
mod tools;

pub(crate) use consent::WRAPPED;
pub use drive::drive;
pub use planner::{EXAMPLES, NotUnderstood, Plan};
pub use runs::{Answer, Run, RunState, Step, StepState, WaitKind, WaitingFor};
