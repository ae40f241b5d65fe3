//! What the server hands to every render and every server function, through
//! Leptos context: the [`domain::Engine`], who is signed in, and, after a
//! refused form post, what was typed and why it was refused.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

/// The person who looks at the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Public id.
    pub person_id: String,
    /// The name they gave.
    pub name: String,
    /// Their address.
    pub email: String,
    /// Whether the admin pages are theirs.
    pub admin: bool,
}

/// Who is signed in, if anybody.
#[derive(Clone, Debug, Default)]
pub struct SignedIn(pub Option<Viewer>);

/// A form that was posted and refused: the page is rendered again with it.
#[derive(Clone, Debug, Default)]
pub struct FormState {
    /// What was typed, by field name. Never a password or a secret.
    pub values: HashMap<String, String>,
    /// What is wrong: field name and sentence. The empty name is the form's own.
    pub errors: Vec<(String, String)>,
    /// Something to say above the form that is no error.
    pub notice: Option<String>,
    /// The status of the answer; 0 leaves it to the page.
    pub status: u16,
}

impl FormState {
    /// What was typed into a field.
    #[must_use]
    pub fn value(&self, name: &str) -> String {
        self.values.get(name).cloned().unwrap_or_default()
    }

    /// The sentence beside a field.
    #[must_use]
    pub fn error(&self, name: &str) -> Option<String> {
        self.errors
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, message)| message.clone())
    }
}

/// A client secret that was just made: the page shows it this once. The value
/// is in clear, so the server provides it for exactly one render.
#[derive(Clone)]
pub struct FreshSecret {
    /// The client it belongs to.
    pub client_id: String,
    /// The secret.
    pub secret: String,
}

/// Recovery codes that were just made: the page shows them this once. In clear,
/// so the server provides them for exactly one render.
#[derive(Clone)]
pub struct FreshCodes {
    /// The codes.
    pub codes: Vec<String>,
    /// Whether they came with the person's first device.
    pub first: bool,
}

/// The id of this request, as it stands in the log.
#[derive(Clone, Debug, Default)]
pub struct Trace(pub String);

/// Further origins a form on this page may lead to (CSP `form-action` holds
/// along the whole redirect chain): a client's callback, a provider's consent
/// page. Origins only, checked by the server beforehand.
#[derive(Clone, Debug, Default)]
pub struct FormTargets(pub Vec<String>);

/// What `/authorize` asks of the person. The server has checked the request;
/// without this in the context the consent page says that nothing is asked.
#[derive(Clone, Debug, Default)]
pub struct ConsentView {
    /// The client's name as registered.
    pub client_name: String,
    /// Its id.
    pub client_id: String,
    /// Whether an admin registered it (and not the client itself).
    pub verified: bool,
    /// What it may do: scopes by name; the page has the sentences.
    pub scopes: Vec<String>,
    /// At which other services its tokens are good.
    pub audiences: Vec<String>,
    /// The person's accounts it asks for.
    pub accounts: Vec<ConsentAccount>,
    /// The original parameters, posted back as hidden fields.
    pub params: Vec<(String, String)>,
    /// The host the browser goes back to.
    pub returns_to: String,
}

/// One account on the consent page.
#[derive(Clone, Debug, Default)]
pub struct ConsentAccount {
    /// Account id, the value of the box.
    pub id: String,
    /// As the person knows it.
    pub label: String,
    /// The provider's id in the catalogue.
    pub provider: String,
    /// `call` or `release`.
    pub mode: String,
    /// Ticked at first.
    pub checked: bool,
}

/// Consent as the server provides it. `Arc` because it is read once a render
/// and cloned with the context.
#[derive(Clone, Debug)]
pub struct ConsentAsked(pub Arc<ConsentView>);

/// What a device asks for, under the code that the person typed.
#[derive(Clone, Debug, Default)]
pub struct DeviceAsked {
    /// The client's name as registered.
    pub client_name: String,
    /// Its id.
    pub client_id: String,
    /// Whether an admin registered it (and not the client itself).
    pub verified: bool,
    /// What it may do: scopes by name; the page has the sentences.
    pub scopes: Vec<String>,
    /// At which other services its tokens are good.
    pub audiences: Vec<String>,
    /// The code as the device shows it.
    pub user_code: String,
}

/// A client's wish that the person sign out, put before them.
#[derive(Clone, Debug, Default)]
pub struct LogoutView {
    /// Who wishes it, if it says.
    pub client_name: Option<String>,
    /// The original parameters, posted back as hidden fields.
    pub params: Vec<(String, String)>,
}

/// The wish as the server provides it.
#[derive(Clone, Debug)]
pub struct LogoutAsked(pub Arc<LogoutView>);

pub(crate) fn viewer() -> Option<Viewer> {
    use_context::<SignedIn>().and_then(|signed_in| signed_in.0)
}

pub(crate) fn form() -> FormState {
    use_context::<FormState>().unwrap_or_default()
}

pub(crate) fn trace() -> String {
    use_context::<Trace>()
        .map(|trace| trace.0)
        .unwrap_or_default()
}

/// The parameters of the address, decoded once. `use_query_map` of `leptos_router`
/// 0.8 decodes twice on the server: an address inside the address, as in
/// `return_to`, would lose its escapes, and with them where its values end.
pub(crate) fn query() -> HashMap<String, String> {
    use_context::<Parts>()
        .and_then(|parts| Query::try_from_uri(&parts.uri).ok())
        .map(|Query(query)| query)
        .unwrap_or_default()
}

/// Sets the status of the answer, unless a refused form has already named one.
pub(crate) fn set_status(status: StatusCode) {
    if let Some(options) = use_context::<ResponseOptions>() {
        options.set_status(status);
    }
}

/// Sets a header of the answer. A value that is no header value is left out.
pub(crate) fn set_header(name: HeaderName, value: &str) {
    if let (Some(options), Ok(value)) = (
        use_context::<ResponseOptions>(),
        HeaderValue::from_str(value),
    ) {
        options.insert_header(name, value);
    }
}
