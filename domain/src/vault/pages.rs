//! Addresses of the console that errors about accounts point to.

use crate::Engine;

/// Where a person links an account of this connection, or links it again.
pub(crate) fn link(engine: &Engine, connection: &str) -> String {
    engine.settings.url(&format!("accounts/link/{connection}"))
}

/// Where a person permits a client to use their account of this connection.
pub(crate) fn permit(engine: &Engine, connection: &str, client_id: &str) -> String {
    let query = serde_urlencoded::to_string([("client", client_id)]).unwrap_or_default();
    format!("{}?{query}", link(engine, connection))
}
