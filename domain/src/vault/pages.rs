//! Addresses of the console that errors of this room point to.

use crate::Engine;

fn query(pairs: &[(&str, &str)]) -> String {
    serde_urlencoded::to_string(pairs).unwrap_or_default()
}

/// Where a person links an account of this connection, or links it again.
pub(super) fn link(engine: &Engine, connection: &str) -> String {
    engine
        .settings
        .url(&format!("accounts?{}", query(&[("link", connection)])))
}

/// Where a person permits a client to use an account.
pub(super) fn permit(engine: &Engine, account_id: &str, client_id: &str) -> String {
    engine.settings.url(&format!(
        "accounts/{account_id}?{}",
        query(&[("permit", client_id)])
    ))
}
