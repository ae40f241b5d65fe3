//! What a connection may say about an entry's addresses: a tenant, a host of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Provider, host_fits};
use crate::vault::Error;

/// Which part of an address a parameter stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The host name (and port).
    Host,
    /// One segment of the path.
    Path,
}

/// Something a connection may say about its addresses: a tenant, a host of its
/// own. The entry's addresses hold the default, and the connection's value
/// takes its place in all of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name: `tenant`.
    pub name: String,
    /// What it is, as a sentence without a full stop.
    pub words: String,
    /// What stands in the entry's addresses.
    pub default: String,
    /// Where it stands there.
    pub part: Part,
    /// For a host: names it may have, as `*.example.com`; `*` is any name.
    #[serde(default)]
    pub allow: Vec<String>,
}

impl Provider {
    /// This entry with a connection's values in its addresses.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a parameter it does not have, and for a value
    /// that does not fit its place or is not allowed there.
    pub(in crate::vault) fn with(&self, values: &BTreeMap<String, String>) -> Result<Self, Error> {
        let mut entry = self.clone();
        for (name, value) in values {
            let parameter = self
                .parameters
                .iter()
                .find(|parameter| parameter.name == *name)
                .ok_or_else(|| {
                    Error::Invalid(format!("{} has no setting called {name}", self.name))
                })?;
            parameter.fits(value)?;
            entry.replace(parameter, value)?;
        }
        Ok(entry)
    }

    /// Whether these values may name any host there is.
    pub(in crate::vault) fn leads_anywhere(&self, values: &BTreeMap<String, String>) -> bool {
        self.parameters.iter().any(|parameter| {
            parameter.allow.iter().any(|host| host == "*") && values.contains_key(&parameter.name)
        })
    }

    fn replace(&mut self, parameter: &Parameter, value: &str) -> Result<(), Error> {
        let addresses = [&mut self.authorize, &mut self.token]
            .into_iter()
            .chain(&mut self.revoke)
            .chain(&mut self.identity.url)
            .chain(self.identity.sites.as_mut().map(|sites| &mut sites.url))
            .chain(self.id_token.as_mut().map(|id_token| &mut id_token.jwks));
        for url in addresses {
            *url = parameter.put(url, value)?;
        }
        for host in &mut self.hosts {
            if parameter.part == Part::Host && host.name == parameter.default {
                value.clone_into(&mut host.name);
            }
            host.base = parameter.put(&host.base, value)?;
        }
        Ok(())
    }
}

impl Parameter {
    fn fits(&self, value: &str) -> Result<(), Error> {
        let bad = |why: &str| Err(Error::Invalid(format!("{} {value:?} {why}", self.name)));
        let letters = |extra: &str| {
            value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
        };
        match self.part {
            Part::Path => {
                if value.is_empty() || value.starts_with('.') || !letters("-._") {
                    return bad("is no name: letters, digits, `-`, `.` and `_`");
                }
            }
            Part::Host => {
                if value.is_empty() || !letters("-.:[]") {
                    return bad("is no host name");
                }
                let name = value.rsplit_once(':').map_or(value, |(name, _)| name);
                let allowed = value == self.default
                    || self.allow.iter().any(|pattern| {
                        // A port of its own only where any host is allowed.
                        pattern == "*" || name == value && host_fits(pattern, name)
                    });
                if !allowed {
                    return bad("is not a host this provider has");
                }
            }
        }
        Ok(())
    }

    /// The address with the value in the default's place.
    fn put(&self, url: &Url, value: &str) -> Result<Url, Error> {
        let broken =
            || Error::Invalid(format!("{} {value:?} makes no address of {url}", self.name));
        let mut new = url.clone();
        match self.part {
            Part::Path => {
                let path: Vec<&str> = url
                    .path()
                    .split('/')
                    .map(|segment| {
                        if segment == self.default {
                            value
                        } else {
                            segment
                        }
                    })
                    .collect();
                new.set_path(&path.join("/"));
            }
            Part::Host if url.host_str() == Some(&self.default) => {
                let given =
                    Url::parse(&format!("{}://{value}/", url.scheme())).map_err(|_| broken())?;
                new.set_host(given.host_str()).map_err(|_| broken())?;
                new.set_port(given.port()).map_err(|()| broken())?;
            }
            Part::Host => {}
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::providers::provider;

    fn values(name: &str, value: &str) -> BTreeMap<String, String> {
        [(name.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn a_tenant_takes_its_place_in_every_address() {
        let microsoft = provider("microsoft").unwrap();
        let contoso = microsoft
            .with(&values("tenant", "contoso.onmicrosoft.com"))
            .unwrap();
        assert_eq!(
            contoso.token.as_str(),
            "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"
        );
        for bad in ["", "..", "a/b", "a?b", "a%2fb", "a b"] {
            assert!(microsoft.with(&values("tenant", bad)).is_err(), "{bad}");
        }
        assert!(microsoft.with(&values("host", "evil.example")).is_err());
    }

    #[test]
    fn a_host_of_its_own_takes_the_place_of_the_default() {
        let gitlab = provider("gitlab").unwrap();
        let own = gitlab
            .with(&values("host", "git.example.com:8443"))
            .unwrap();
        assert_eq!(
            own.authorize.as_str(),
            "https://git.example.com:8443/oauth/authorize"
        );
        assert_eq!(
            own.hosts[0].base.as_str(),
            "https://git.example.com:8443/api/v4"
        );
        assert_eq!(own.hosts[0].name, "git.example.com:8443");
        for bad in ["git.example.com/x", "a@b", "a#b", "http://a"] {
            assert!(gitlab.with(&values("host", bad)).is_err(), "{bad}");
        }
        let salesforce = provider("salesforce").unwrap();
        for good in [
            "test.salesforce.com",
            "acme.my.salesforce.com",
            "acme--dev.sandbox.my.salesforce.com",
        ] {
            assert!(salesforce.with(&values("host", good)).is_ok(), "{good}");
        }
        for bad in [
            "evil.example",
            "my.salesforce.com.evil.example",
            "acme.my.salesforce.com:8443",
        ] {
            assert!(salesforce.with(&values("host", bad)).is_err(), "{bad}");
        }
    }
}
