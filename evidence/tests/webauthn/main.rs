//! Passkeys: the published vectors, vectors by another implementation, and every refusal by its name.

mod refusals;
mod vectors;
