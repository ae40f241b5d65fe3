//! The credentials for AWS that hold now: given once, or temporary ones that
//! somebody beside us hands out and that are fetched anew before they end.
//!
//! - Containers (ECS, EKS Pod Identity):
//!   <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>
//! - Service accounts of Kubernetes (IRSA): `AssumeRoleWithWebIdentity`,
//!   <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>
//! - Instances, by version 2 of their metadata service:
//!   <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Mutex;
use url::Url;

use super::super::Error;
use super::aws_identity::{AwsCredentials, AwsIdentity, ContainerToken, unavailable};
use super::{LIMIT, TIMEOUT, forget, is_passing};
use crate::clock::Clock;
use crate::outbound::{Answer, Ask, Outbound};
use crate::secret::Secret;

/// Temporary credentials are fetched anew so long before they end (milliseconds).
const EARLY_MS: i64 = 5 * 60_000;
/// After a failure nobody is asked for so long (milliseconds).
const QUIET_MS: i64 = 1_000;
/// For how long a token of the metadata service is good (seconds).
const METADATA_TOKEN_S: &str = "60";

/// Credentials as containers' agents and the metadata service hand them out.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HandedOut {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: String,
}

/// Credentials, and until when (Unix milliseconds) they are good.
type Lasting = (Arc<AwsCredentials>, Option<i64>);

#[derive(Default)]
struct Kept {
    now: Option<Lasting>,
    /// Nobody is asked until then (monotonic milliseconds), and why.
    failed: Option<(i64, String)>,
}

/// The credentials that hold now.
pub(super) struct Current {
    identity: AwsIdentity,
    clock: Arc<dyn Clock>,
    outbound: Arc<dyn Outbound>,
    kept: Mutex<Kept>,
}

impl Current {
    pub fn new(identity: AwsIdentity, clock: Arc<dyn Clock>, outbound: Arc<dyn Outbound>) -> Self {
        Self {
            identity,
            clock,
            outbound,
            kept: Mutex::default(),
        }
    }

    /// The credentials; fetched anew when they soon end. Whoever asks meanwhile
    /// waits for that. Those that live still are good when nobody answers.
    pub async fn get(&self) -> Result<Arc<AwsCredentials>, Error> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        let lives = |early: i64| {
            let (credentials, end) = kept.now.as_ref()?;
            end.is_none_or(|end| end - early > now)
                .then(|| credentials.clone())
        };
        if let Some(credentials) = lives(EARLY_MS) {
            return Ok(credentials);
        }
        let living = lives(0);
        let monotonic = self.clock.monotonic();
        if let Some((until, why)) = &kept.failed
            && monotonic < *until
        {
            return living.ok_or_else(|| unavailable(why.clone()));
        }
        match self.fetch().await {
            Ok((credentials, end)) => {
                *kept = Kept {
                    now: Some((credentials.clone(), end)),
                    failed: None,
                };
                Ok(credentials)
            }
            Err(error) => {
                let why = format!("no credentials for AWS: {error}");
                tracing::warn!("{why}");
                kept.failed = Some((monotonic + QUIET_MS, why.clone()));
                living.ok_or_else(|| unavailable(why))
            }
        }
    }

    /// These were refused as ended, whatever was said of their end.
    pub async fn drop_ended(&self, ended: &Arc<AwsCredentials>) {
        let mut kept = self.kept.lock().await;
        let same = kept
            .now
            .as_ref()
            .is_some_and(|(now, _)| Arc::ptr_eq(now, ended));
        if same && !matches!(self.identity, AwsIdentity::Given(_)) {
            kept.now = None;
        }
    }

    async fn fetch(&self) -> Result<Lasting, Error> {
        match &self.identity {
            AwsIdentity::Given(credentials) => Ok((Arc::new(credentials.clone()), None)),
            AwsIdentity::WebIdentity {
                role_arn,
                session_name,
                token_file,
                sts,
            } => {
                let token = read(token_file)?;
                self.assume(sts, role_arn, session_name, &token).await
            }
            AwsIdentity::Container { url, token } => {
                let token = match token {
                    ContainerToken::None => None,
                    ContainerToken::Given(token) => Some(token.clone()),
                    ContainerToken::File(path) => Some(read(path)?),
                };
                let headers = match token {
                    Some(token) => headers(&[(AUTHORIZATION, token.expose())])?,
                    None => HeaderMap::new(),
                };
                handed_out(self.ask(Method::GET, url, headers, Bytes::new()).await?)
            }
            AwsIdentity::Instance { endpoint } => self.of_instance(endpoint).await,
        }
    }

    async fn of_instance(&self, endpoint: &Url) -> Result<Lasting, Error> {
        let at = |path: &str| {
            endpoint
                .join(path)
                .map_err(|_| unavailable("the metadata service's endpoint is not an address"))
        };
        let lifetime = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
        let asked = headers(&[(lifetime, METADATA_TOKEN_S)])?;
        let token = self
            .ask(Method::PUT, &at("latest/api/token")?, asked, Bytes::new())
            .await?;
        let token = Secret::new(text(token)?);
        let known = || {
            let name = HeaderName::from_static("x-aws-ec2-metadata-token");
            headers(&[(name, token.expose())])
        };
        let roles = at("latest/meta-data/iam/security-credentials/")?;
        let role = text(
            self.ask(Method::GET, &roles, known()?, Bytes::new())
                .await?,
        )?;
        let role = role.lines().next().unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
        if role.is_empty() || !role.chars().all(fits) {
            return Err(unavailable("the instance has no role"));
        }
        let role = roles
            .join(role)
            .map_err(|_| unavailable("the instance's role is no name"))?;
        handed_out(self.ask(Method::GET, &role, known()?, Bytes::new()).await?)
    }

    async fn assume(
        &self,
        sts: &Url,
        role_arn: &str,
        session_name: &str,
        token: &Secret<String>,
    ) -> Result<Lasting, Error> {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "AssumeRoleWithWebIdentity")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", role_arn)
            .append_pair("RoleSessionName", session_name)
            .append_pair("WebIdentityToken", token.expose())
            .finish();
        let asked = headers(&[
            (CONTENT_TYPE, "application/x-www-form-urlencoded"),
            (ACCEPT, "text/xml"),
        ])?;
        let answer = self
            .ask(Method::POST, sts, asked, Bytes::from(form))
            .await?;
        let xml = Secret::new(text(answer)?);
        let element = |name: &str| {
            element(xml.expose(), name)
                .ok_or_else(|| unavailable(format!("STS answered without {name}")))
        };
        let credentials = AwsCredentials {
            access_key_id: element("AccessKeyId")?.to_owned(),
            secret_access_key: Secret::from(element("SecretAccessKey")?),
            session_token: Some(Secret::from(element("SessionToken")?)),
        };
        let end = end(element("Expiration")?)?;
        Ok((Arc::new(credentials), Some(end)))
    }

    /// One call; once more when nobody answered. The answer is a 200.
    async fn ask(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Error> {
        let host = url.host_str().unwrap_or_default();
        let mut tries = 0;
        loop {
            tries += 1;
            let ask = Ask {
                method: method.clone(),
                url: url.clone(),
                headers: headers.clone(),
                body: body.clone(),
                timeout: TIMEOUT,
                limit: LIMIT,
            };
            match self.outbound.send(ask).await {
                Ok(answer) if answer.status.as_u16() == 200 => return Ok(answer),
                Ok(answer) if is_passing(answer.status) && tries < 2 => {}
                Ok(answer) => {
                    return Err(unavailable(format!("{host} answered {}", answer.status)));
                }
                Err(error) if tries >= 2 => {
                    return Err(unavailable(format!("{host} did not answer: {error}")));
                }
                Err(_) => {}
            }
        }
    }
}

fn handed_out(answer: Answer) -> Result<Lasting, Error> {
    let read: Result<HandedOut, _> = serde_json::from_slice(&answer.body);
    forget(answer.body);
    let read = read.map_err(|_| unavailable("credentials were answered in another shape"))?;
    let end = end(&read.expiration)?;
    let credentials = AwsCredentials {
        access_key_id: read.access_key_id,
        secret_access_key: Secret::new(read.secret_access_key),
        session_token: Some(Secret::new(read.token)),
    };
    Ok((Arc::new(credentials), Some(end)))
}

/// Unix milliseconds of a moment as AWS writes it.
fn end(text: &str) -> Result<i64, Error> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map(|moment| moment.unix_timestamp() * 1_000)
        .map_err(|_| unavailable("credentials were answered with an end that is no moment"))
}

/// The text of the first such element, which has no others in it. What is
/// looked for has no characters that XML would write otherwise.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, from) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = from.split_once(&format!("</{name}>"))?;
    let fits = !text.is_empty() && !text.contains(['<', '&']);
    fits.then(|| text.trim())
}

fn read(path: &std::path::Path) -> Result<Secret<String>, Error> {
    let text = std::fs::read_to_string(path)
        .map(Secret::new)
        .map_err(|error| unavailable(format!("{}: {error}", path.display())))?;
    Ok(Secret::from(text.expose().trim()))
}

fn text(answer: Answer) -> Result<String, Error> {
    let text = std::str::from_utf8(&answer.body).map(str::to_owned);
    forget(answer.body);
    text.map_err(|_| unavailable("the answer is no text"))
}

fn headers(pairs: &[(HeaderName, &str)]) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| unavailable("a token for AWS is not well formed"))?;
        value.set_sensitive(true);
        headers.insert(name.clone(), value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_found_by_its_whole_name() {
        let xml = "<A><SessionToken>x+/=</SessionToken><Session>y</Session><E></E></A>";
        assert_eq!(element(xml, "SessionToken"), Some("x+/="));
        assert_eq!(element(xml, "Session"), Some("y"));
        assert_eq!(element(xml, "E"), None);
        assert_eq!(element(xml, "Token"), None);
        assert_eq!(element(xml, "A"), None);
    }
}
