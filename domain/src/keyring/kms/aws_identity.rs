//! Whom we are to AWS, as the environment says.

use std::path::PathBuf;

use url::{Host, Url};

use super::super::Error;
use crate::secret::Secret;

/// Where the agents of ECS and EKS answer, without TLS.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// Credentials for AWS.
#[derive(Clone)]
pub struct AwsCredentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Secret<String>,
    /// `AWS_SESSION_TOKEN`, of temporary ones.
    pub session_token: Option<Secret<String>>,
}

/// Where credentials for AWS come from.
#[derive(Clone)]
pub enum AwsIdentity {
    /// They were given, and do not change.
    Given(AwsCredentials),
    /// A service account's token is traded for them at STS.
    WebIdentity {
        /// `AWS_ROLE_ARN`.
        role_arn: String,
        /// `AWS_ROLE_SESSION_NAME`; CloudTrail shows it.
        session_name: String,
        /// `AWS_WEB_IDENTITY_TOKEN_FILE`, read every time: it is replaced.
        token_file: PathBuf,
        /// The region's STS.
        sts: Url,
    },
    /// The container's agent hands them out.
    Container {
        /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`, or the relative one at its host.
        url: Url,
        /// What it wants to see.
        token: ContainerToken,
    },
    /// The instance's metadata service hands them out.
    Instance {
        /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
        endpoint: Url,
    },
}

/// What a container's agent wants to see.
#[derive(Clone)]
pub enum ContainerToken {
    /// Nothing.
    None,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
    Given(Secret<String>),
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`, read every time.
    File(PathBuf),
}

pub(super) fn unavailable(words: impl Into<String>) -> Error {
    Error::Unavailable(words.into())
}

impl AwsIdentity {
    /// As the environment says, in the order in which AWS's own programs look:
    /// given credentials, a web identity, a container's agent, the instance.
    ///
    /// # Errors
    /// A sentence, when what is there does not fit together.
    pub fn of_environment(
        region: &str,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let value = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let needed = |name: &str| {
            value(name).ok_or_else(|| unavailable(format!("the environment has no {name}")))
        };
        if let Some(access_key_id) = value("AWS_ACCESS_KEY_ID") {
            return Ok(Self::Given(AwsCredentials {
                access_key_id,
                secret_access_key: Secret::new(needed("AWS_SECRET_ACCESS_KEY")?),
                session_token: value("AWS_SESSION_TOKEN").map(Secret::new),
            }));
        }
        let address = |name: &str, text: &str| {
            Url::parse(text).map_err(|_| unavailable(format!("{name} is not an address")))
        };
        if let Some(token_file) = value("AWS_WEB_IDENTITY_TOKEN_FILE") {
            let sts = value("AWS_ENDPOINT_URL_STS")
                .unwrap_or_else(|| format!("https://sts.{region}.amazonaws.com/"));
            return Ok(Self::WebIdentity {
                role_arn: needed("AWS_ROLE_ARN")?,
                session_name: value("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "attorn".to_owned()),
                token_file: token_file.into(),
                sts: address("AWS_ENDPOINT_URL_STS", &sts)?,
            });
        }
        let relative = value("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
            .map(|path| format!("http://{}{path}", CONTAINER_HOSTS[0]));
        if let Some(text) = relative.or_else(|| value("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
            let url = address("AWS_CONTAINER_CREDENTIALS_FULL_URI", &text)?;
            if !is_beside_us(&url) {
                return Err(unavailable(
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor on this machine",
                ));
            }
            let token = match (
                value("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
                value("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
            ) {
                (Some(file), _) => ContainerToken::File(file.into()),
                (None, Some(token)) => ContainerToken::Given(Secret::new(token)),
                (None, None) => ContainerToken::None,
            };
            return Ok(Self::Container { url, token });
        }
        if value("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text == "true") {
            return Err(unavailable(
                "the environment has no AWS credentials, and the instance may not be asked",
            ));
        }
        let endpoint = value("AWS_EC2_METADATA_SERVICE_ENDPOINT")
            .unwrap_or_else(|| "http://169.254.169.254/".to_owned());
        Ok(Self::Instance {
            endpoint: address("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoint)?,
        })
    }
}

/// Whether credentials may come from there without TLS.
fn is_beside_us(url: &Url) -> bool {
    if url.scheme() == "https" {
        return true;
    }
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || CONTAINER_HOSTS.contains(&&*ip.to_string()),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || CONTAINER_HOSTS.contains(&&*ip.to_string()),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<AwsIdentity, String> {
        let lookup = |name: &str| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        AwsIdentity::of_environment("eu-central-1", lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_says_who_we_are_in_the_order_of_aws() {
        let given = [
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
        ];
        assert!(matches!(of(&given), Ok(AwsIdentity::Given(_))));
        let web = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/attorn"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"),
        ];
        let Ok(AwsIdentity::WebIdentity { sts, .. }) = of(&web) else {
            panic!("a web identity");
        };
        assert_eq!(sts.as_str(), "https://sts.eu-central-1.amazonaws.com/");
        let container = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")];
        let Ok(AwsIdentity::Container { url, .. }) = of(&container) else {
            panic!("a container");
        };
        assert_eq!(url.as_str(), "http://169.254.170.2/v2/x");
        assert!(matches!(of(&[]), Ok(AwsIdentity::Instance { .. })));
        assert!(of(&[("AWS_EC2_METADATA_DISABLED", "true")]).is_err());
        assert!(of(&[("AWS_ACCESS_KEY_ID", "AKID")]).is_err());
    }

    #[test]
    fn credentials_come_without_tls_only_from_beside_us() {
        let full = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
        for good in [
            "http://127.0.0.1:9/x",
            "http://localhost/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "https://agent.example/x",
        ] {
            assert!(of(&[(full, good)]).is_ok(), "{good}");
        }
        for bad in ["http://agent.example/x", "http://169.254.169.254/", "x"] {
            assert!(of(&[(full, bad)]).is_err(), "{bad}");
        }
    }
}
