//! approval

/// What this room keeps in memory.
#[derive(Default)]
pub struct Memory {}
