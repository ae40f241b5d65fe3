//! The demo's own certificate authority.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::folder::{Folder, write_secret};
use crate::serve::Error;

/// Files of the authority and its certificate for `localhost`.
pub struct Authority {
    /// The authority's certificate: what clients trust.
    pub ca: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
}

/// Opens the authority of this folder, making it if there is none.
///
/// # Errors
/// When files cannot be written.
pub fn open(folder: &Folder) -> Result<Authority, Error> {
    let place = folder.path("tls");
    let authority = Authority {
        ca: place.join("ca.pem"),
        certificate: place.join("localhost.pem"),
        key: place.join("localhost.key"),
    };
    if authority.key.exists() {
        return Ok(authority);
    }
    std::fs::create_dir_all(&place).map_err(Error::new)?;
    let mut params = CertificateParams::new(Vec::<String>::new()).map_err(Error::new)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Attorn demo CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_key = KeyPair::generate().map_err(Error::new)?;
    let ca = params.self_signed(&ca_key).map_err(Error::new)?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
        .map_err(Error::new)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(Error::new)?;
    let ca_pem = ca.pem();
    let mut ca_params = CertificateParams::new(Vec::<String>::new()).map_err(Error::new)?;
    ca_params
        .distinguished_name
        .push(DnType::CommonName, "Attorn demo CA");
    ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = Issuer::new(ca_params, ca_key);
    let certificate = params.signed_by(&key, &issuer).map_err(Error::new)?;
    std::fs::write(&authority.ca, &ca_pem).map_err(Error::new)?;
    std::fs::write(&authority.certificate, certificate.pem()).map_err(Error::new)?;
    write_secret(&authority.key, &key.serialize_pem()).map_err(Error::new)?;
    Ok(authority)
}
