//! The proof of [`super::step`]: every schedule of a few instances within
//! stated bounds (`check.rs`), and many long ones at random (`schedules.rs`),
//! against one model of rows, provider and time (`world.rs`).
//!
//! What is taken for granted: a request is carried out or lost within the
//! call's time-out, also when its sender dies; and between the look at the
//! clock and the sending of a request nobody is stopped. The margin of a
//! takeover is for the first, and nothing is for the second.

mod check;
mod schedules;
mod world;
