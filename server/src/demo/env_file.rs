//! `--env-file`: what an outside client needs, one `KEY=value` a line, shell-safe.

use std::path::Path;

use domain::Engine;

use super::folder::{Folder, write_secret};
use super::seed::{self, Seeded, Tokens};
use crate::serve::Error;

/// Writes the file, readable by its owner only, in one move.
///
/// # Errors
/// When it cannot be written.
pub fn write(
    path: &Path,
    engine: &Engine,
    folder: &Folder,
    seeded: &Seeded,
    tokens: &Tokens,
    ca: Option<&Path>,
) -> Result<(), Error> {
    let issuer = &engine.settings.issuer;
    let url = issuer.trim_end_matches('/');
    let domain = url.split_once("://").map_or(url, |(_, domain)| domain);
    let secrets = &folder.secrets;
    let ca = ca.map(|ca| ca.display().to_string()).unwrap_or_default();
    let decide = format!("{url}/demo/{}/decide", secrets.decide);
    let lines = [
        ("ATTORN_URL", url),
        ("ATTORN_DOMAIN", domain),
        ("ATTORN_CA_FILE", &ca),
        ("ATTORN_CLIENT_ID", seed::AGENT_ID),
        ("ATTORN_CLIENT_SECRET", &secrets.agent_secret),
        ("ATTORN_USER_ID", &seeded.person_id),
        ("ATTORN_USER_EMAIL", seed::PERSON_EMAIL),
        ("ATTORN_USER_PASSWORD", &secrets.person_password),
        ("ATTORN_ADMIN_EMAIL", seed::ADMIN_EMAIL),
        ("ATTORN_ADMIN_PASSWORD", &secrets.admin_password),
        ("ATTORN_REFRESH_TOKEN", tokens.refresh.expose()),
        ("ATTORN_ACCESS_TOKEN", tokens.access.expose()),
        ("ATTORN_API_CLIENT_ID", seed::API_ID),
        ("ATTORN_API_CLIENT_SECRET", &secrets.api_secret),
        ("ATTORN_AUDIENCE", seed::AUDIENCE),
        ("ATTORN_DETAILS_TYPE", seed::DETAILS_TYPE),
        ("ATTORN_REDIRECT_URI", seed::REDIRECT_URI),
        ("ATTORN_CONNECTION_SLACK", seed::SLACK),
        ("ATTORN_CONNECTION_GOOGLE", seed::GOOGLE),
        ("ATTORN_CONNECTION_SALESFORCE", seed::SALESFORCE),
        ("ATTORN_DECIDE_URL", &decide),
    ];
    let text: String = lines
        .iter()
        .map(|(name, value)| format!("{name}={}\n", quoted(value)))
        .collect();
    let beside = path.with_extension("partial");
    write_secret(&beside, &text)
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|error| Error(format!("{}: {error}", path.display())))
}

/// As a shell reads it: plain where it is plain, single-quoted otherwise.
fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@".contains(&byte);
    if !value.is_empty() && value.bytes().all(plain) {
        value.to_owned()
    } else if value.is_empty() {
        String::new()
    } else {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_quote_is_read_back_by_a_shell() {
        assert_eq!(quoted("https://localhost:8080"), "https://localhost:8080");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "");
    }
}
