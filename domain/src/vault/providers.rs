//! The catalogue of providers.

/// A third-party service as a kind.
#[derive(Clone, Debug)]
pub struct Provider {
    /// `slack`, `google`, `salesforce`.
    pub id: String,
    /// The name people know it by.
    pub name: String,
}

impl Provider {
    /// What a scope allows, as a sentence; the bare name where nobody wrote one.
    #[must_use]
    pub fn words<'a>(&'a self, scope: &'a str) -> &'a str {
        scope
    }
}

/// Every entry.
#[must_use]
pub fn catalogue() -> &'static [Provider] {
    &[]
}

/// The entry of that id.
#[must_use]
pub fn provider(id: &str) -> Option<&'static Provider> {
    catalogue().iter().find(|provider| provider.id == id)
}
