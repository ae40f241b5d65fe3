//! The whole server over HTTP.
