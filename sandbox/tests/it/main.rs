//! The lookalikes over real HTTP: what a client sees of each, and of each fault.

mod consent;
mod faults;
mod google;
mod laboratory;
mod salesforce;
mod slack;
mod support;
mod switches;
