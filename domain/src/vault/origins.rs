//! Addresses: an entry's endpoints with a connection's replacements, their
//! origins' digest, and which API address a call may go to.

use url::Url;

use super::Error;
use super::Overrides;
use super::providers::{Host, Instance, Provider, host_fits};
use crate::keyring::sha256;

/// Every address of one connection.
#[derive(Clone)]
pub(super) struct Endpoints {
    pub authorize: Url,
    pub token: Url,
    pub revoke: Option<Url>,
    pub identity: Option<Url>,
    /// The keys of its ID tokens.
    pub jwks: Option<Url>,
    /// Where the sites of a grant are listed.
    pub sites: Option<Url>,
    hosts: Vec<Host>,
    /// What replaces every API host.
    api_base: Option<Url>,
    instance: Option<Instance>,
    /// Where else an identity address may lie.
    identity_hosts: Vec<String>,
}

/// An address that is safe to send a credential to: https, or http to this machine.
fn address(what: &str, text: &str) -> Result<Url, Error> {
    let bad = |why: &str| Error::Invalid(format!("the {what} address {text:?} {why}"));
    let url = Url::parse(text).map_err(|error| bad(&format!("is not a URL: {error}")))?;
    let local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if !(url.scheme() == "https" || url.scheme() == "http" && local) {
        return Err(bad("must be https (http only on this machine)"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(bad("may not carry a user or a fragment"));
    }
    Ok(url)
}

/// An address below an API host, where that host was replaced.
fn moved(entry: &Provider, api_base: Option<&Url>, url: Url) -> Url {
    let below = |host: &Host| {
        let base = host.base.as_str().trim_end_matches('/');
        url.as_str().strip_prefix(base).map(str::to_owned)
    };
    api_base
        .zip(entry.hosts.iter().find_map(below))
        .and_then(|(base, rest)| {
            let base = base.as_str().trim_end_matches('/');
            Url::parse(&format!("{base}{rest}")).ok()
        })
        .unwrap_or(url)
}

impl Endpoints {
    /// The entry's addresses with the replacements.
    pub fn of(entry: &Provider, overrides: &Overrides) -> Result<Self, Error> {
        let pick = |what: &str, given: &Option<String>, own: &Url| match given {
            Some(text) => address(what, text),
            None => Ok(own.clone()),
        };
        let maybe = |what: &str, given: &Option<String>, own: &Option<Url>| match given {
            Some(text) => address(what, text).map(Some),
            None => Ok(own.clone()),
        };
        let api_base = maybe("API", &overrides.api_base, &None)?;
        let jwks = entry.id_token.as_ref().map(|rule| rule.jwks.clone());
        let sites = entry.identity.sites.as_ref().map(|sites| sites.url.clone());
        Ok(Self {
            jwks: maybe("key set", &overrides.jwks, &jwks)?,
            sites: sites.map(|url| moved(entry, api_base.as_ref(), url)),
            authorize: pick("authorization", &overrides.authorize, &entry.authorize)?,
            token: pick("token", &overrides.token, &entry.token)?,
            revoke: maybe("revocation", &overrides.revoke, &entry.revoke)?,
            identity: maybe("identity", &overrides.identity, &entry.identity.url)?,
            hosts: entry.hosts.clone(),
            api_base,
            instance: entry.instance.clone(),
            identity_hosts: entry.identity.hosts.clone(),
        })
    }

    /// Digest of the origins that tokens may travel to.
    pub fn digest(&self) -> String {
        let mut origins: Vec<String> = std::iter::once(&self.token)
            .chain(&self.revoke)
            .chain(&self.identity)
            .chain(&self.api_base)
            .chain(self.hosts.iter().map(|host| &host.base))
            .map(|url| url.origin().ascii_serialization())
            .collect();
        if let Some(instance) = &self.instance {
            origins.extend(instance.hosts.iter().cloned());
        }
        origins.extend(self.identity_hosts.iter().cloned());
        origins.sort();
        origins.dedup();
        sha256(origins.join("\n").as_bytes())
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// Checks an account's own API address that the provider named.
    pub fn instance(&self, text: &str) -> Result<Url, Error> {
        let url = address("API", text)?;
        let host = url.host_str().unwrap_or_default();
        let fits = match (&self.api_base, &self.instance) {
            (Some(base), _) => base.origin() == url.origin(),
            (None, Some(instance)) => {
                url.scheme() == "https"
                    && url.port().is_none()
                    && instance
                        .hosts
                        .iter()
                        .any(|pattern| host_fits(pattern, host))
            }
            (None, None) => false,
        };
        if fits {
            Ok(url)
        } else {
            Err(Error::Invalid(
                "the provider named an API address that its entry does not allow".to_owned(),
            ))
        }
    }

    /// Where paths of calls begin: at the named host of the entry, or at the default one.
    pub fn api(&self, account_base: Option<&str>, host: Option<&str>) -> Result<Url, Error> {
        let own = account_base.map(|text| self.instance(text)).transpose()?;
        match host {
            None => own
                .or_else(|| self.api_base.clone())
                .or_else(|| self.hosts.first().map(|host| host.base.clone())),
            Some(name) => {
                if own.as_ref().and_then(Url::host_str) == Some(name) {
                    own
                } else {
                    self.hosts
                        .iter()
                        .find(|host| host.name == name)
                        .map(|host| self.api_base.clone().unwrap_or_else(|| host.base.clone()))
                }
            }
        }
        .ok_or_else(|| Error::Invalid("the provider's entry has no such API host".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::providers::provider;

    fn endpoints(id: &str, overrides: &Overrides) -> Endpoints {
        Endpoints::of(provider(id).unwrap(), overrides).unwrap()
    }

    #[test]
    fn an_entry_moved_below_a_lookalike_keeps_its_paths() {
        let overrides = Overrides::below("slack", "http://127.0.0.1:4000/slack/").unwrap();
        let slack = endpoints("slack", &overrides);
        assert_eq!(
            slack.token.as_str(),
            "http://127.0.0.1:4000/slack/api/oauth.v2.access"
        );
        assert_eq!(
            slack.api(None, None).unwrap().as_str(),
            "http://127.0.0.1:4000/slack/api"
        );
        let overrides = Overrides::below("google", "http://127.0.0.1:4000/google").unwrap();
        let google = endpoints("google", &overrides);
        for host in [None, Some("gmail.googleapis.com")] {
            assert_eq!(
                google.api(None, host).unwrap().as_str(),
                "http://127.0.0.1:4000/google"
            );
        }
    }

    #[test]
    fn only_hosts_of_the_entry_can_be_called() {
        let google = endpoints("google", &Overrides::default());
        assert_eq!(
            google
                .api(None, Some("gmail.googleapis.com"))
                .unwrap()
                .as_str(),
            "https://gmail.googleapis.com/"
        );
        assert!(google.api(None, Some("evil.example")).is_err());
        let salesforce = endpoints("salesforce", &Overrides::default());
        assert!(
            salesforce
                .api(Some("https://acme.my.salesforce.com"), None)
                .is_ok()
        );
        for bad in [
            "https://evil.example",
            "http://acme.my.salesforce.com",
            "https://acme.my.salesforce.com:8443",
            "https://acme.my.salesforce.com@evil.example",
        ] {
            assert!(salesforce.api(Some(bad), None).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_changed_origin_changes_the_digest_and_a_changed_path_does_not() {
        let plain = endpoints("slack", &Overrides::default()).digest();
        let path = Overrides {
            token: Some("https://slack.com/other".to_owned()),
            ..Overrides::default()
        };
        assert_eq!(endpoints("slack", &path).digest(), plain);
        let origin = Overrides {
            revoke: Some("https://evil.example/x".to_owned()),
            ..Overrides::default()
        };
        assert_ne!(endpoints("slack", &origin).digest(), plain);
        let plain_http = Overrides {
            token: Some("http://slack.com/x".to_owned()),
            ..Overrides::default()
        };
        assert!(Endpoints::of(provider("slack").unwrap(), &plain_http).is_err());
    }

    const ADDRESS: [&str; 20] = [
        "https://",
        "http://",
        "acme",
        ".my.salesforce.com",
        ".",
        "evil.example",
        "@",
        ":",
        ":443",
        ":8443",
        "/",
        "\\",
        "?",
        "#",
        "%2e",
        "\t",
        "user",
        "127.0.0.1",
        "。",
        "-",
    ];

    fn instance(endpoints: &Endpoints, text: &str) {
        let Ok(url) = endpoints.instance(text) else {
            return;
        };
        evidence::fuzz::taken("instance");
        let host = url.host_str().unwrap_or_default();
        let ours = ["salesforce.com", "force.com", "cloudforce.com"]
            .iter()
            .any(|end| {
                host.strip_suffix(end)
                    .is_some_and(|rest| rest.ends_with('.'))
            });
        assert!(ours, "{text} leads to {host}");
        assert_eq!((url.scheme(), url.port()), ("https", None));
        assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
        // What is kept of it is the same address again.
        assert_eq!(endpoints.instance(url.as_str()).ok(), Some(url.clone()));
        assert_eq!(endpoints.api(Some(text), None).ok(), Some(url));
    }

    #[test]
    fn addresses_that_a_provider_names() {
        let endpoints = endpoints("salesforce", &Overrides::default());
        bolero::check!(name = "instance")
            .with_iterations(evidence::fuzz::INPUTS)
            .for_each(|input: &[u8]| {
                instance(&endpoints, &String::from_utf8_lossy(input));
                let spelled = evidence::fuzz::spell(input, &ADDRESS);
                instance(&endpoints, &spelled);
                instance(
                    &endpoints,
                    &format!("https://acme.my.salesforce.com{spelled}"),
                );
            });
        evidence::fuzz::has_taken("instance", 3);
    }
}
