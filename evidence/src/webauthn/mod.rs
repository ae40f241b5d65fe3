//! What a relying party checks of a passkey (W3C Web Authentication Level 3, <https://www.w3.org/TR/webauthn-3/>).
//!
//! [`Registration`] is §7.1 with the attestation conveyance `none`, [`Assertion`] is §7.2. The server, the browser and
//! the stand-alone verifier compile this same code, so that what counted on the night of the decision counts in the
//! verifier years later. Nothing here keeps state: the challenge, the kept key and the kept counter are handed in.
//!
//! Reading needs no crypto library and builds for WebAssembly; `verify` is behind the feature `signatures`.
//! What always holds: every length is bounded before it is read, CBOR is accepted only in the one canonical encoding
//! of CTAP2 (§6: decoders should reject any other), JSON only as [`crate::json::parse_strict`] takes it, and nothing
//! may follow the end of a structure.

mod assertion;
mod authenticator_data;
pub(crate) mod cbor;
mod client_data;
mod error;
mod key;
mod registration;
#[cfg(feature = "signatures")]
mod signature;
#[cfg(feature = "testing")]
pub mod virtual_authenticator;

pub use assertion::{Asserted, Assertion, counter_advances};
pub use authenticator_data::{Attested, AuthenticatorData, Flags};
pub use cbor::CborError;
pub use client_data::{Ceremony, ClientData};
pub use error::WebauthnError;
pub use key::{Algorithm, PublicKey};
pub use registration::{Attestation, Registered, Registration};

/// The longest client data that is read, in bytes. Browsers write about 200.
pub const MAX_CLIENT_DATA: usize = 8 * 1024;
/// The longest authenticator data that is read, in bytes. The longest credential id, the largest RSA key and some
/// extensions fit.
pub const MAX_AUTHENTICATOR_DATA: usize = 8 * 1024;
/// The longest attestation object that is read, in bytes.
pub const MAX_ATTESTATION_OBJECT: usize = 16 * 1024;
/// The longest credential id (§7.1: "at most 1023 bytes").
pub const MAX_CREDENTIAL_ID: usize = 1023;
/// The longest signature, in bytes: that of an RSA key of 8192 bits.
pub const MAX_SIGNATURE: usize = 1024;

/// Who asks for a signature, and from which pages it may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    id: String,
    origins: Vec<String>,
}

impl RelyingParty {
    /// A relying party id (a host name) and the origins whose pages may use it, each exactly as a browser writes it.
    #[must_use]
    pub fn new(id: &str, origins: &[&str]) -> Self {
        RelyingParty {
            id: id.to_owned(),
            origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
        }
    }

    /// The relying party of an issuer `https://host[:port]/`: its host, and pages of its own origin only. `None` for
    /// what is no such address, and for a host that is no name (an id is a domain, §5.1.2); `http` is let through for
    /// `localhost` alone, as browsers do.
    #[must_use]
    pub fn of_issuer(issuer: &str) -> Option<Self> {
        let origin = issuer.strip_suffix('/')?;
        let (scheme, authority) = origin.split_once("://")?;
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let is_name = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.'
        };
        let is_port = |port: &str| {
            (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
        };
        // An IPv4 address ends in a number, a name never does.
        let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
        let well_formed = host.bytes().all(is_name)
            && host.rsplit('.').next().is_some_and(|last| !is_number(last))
            && port.is_none_or(is_port);
        let local = host == "localhost" || host.ends_with(".localhost");
        let secure = scheme == "https" || (scheme == "http" && local);
        (well_formed && secure).then(|| RelyingParty::new(host, &[origin]))
    }

    /// The id: what a passkey is bound to.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The origins that may use it.
    #[must_use]
    pub fn origins(&self) -> &[String] {
        &self.origins
    }
}

/// What the relying party asked of the authenticator.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asked.
    pub relying_party: &'a RelyingParty,
    /// The challenge's bytes.
    pub challenge: &'a [u8],
    /// Whether the authenticator must have verified the person (PIN, finger, face), not only have been touched.
    pub user_verification: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_names_its_relying_party() {
        let party = |issuer| RelyingParty::of_issuer(issuer);
        let attorn = party("https://attorn.example/").unwrap();
        assert_eq!(attorn.id(), "attorn.example");
        assert_eq!(attorn.origins(), ["https://attorn.example"]);
        let local = party("http://localhost:8080/").unwrap();
        assert_eq!(local.id(), "localhost");
        assert_eq!(local.origins(), ["http://localhost:8080"]);
        for wrong in [
            "https://attorn.example",
            "http://attorn.example/",
            "https://attorn.example/path/",
            "https://ATTORN.example/",
            "https://user@attorn.example/",
            "https://attorn.example:/",
            "https://attorn.example:8a/",
            "https:///",
            "https://a.example./",
            "https://127.0.0.1/",
            "http://127.0.0.1:8080/",
            "https://[::1]/",
            "ftp://localhost/",
            "",
        ] {
            assert_eq!(party(wrong), None, "{wrong}");
        }
    }
}
