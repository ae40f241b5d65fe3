//! What a request says outside its parameters.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;

use super::error::{Code, OauthError};

/// Headers, method and address of a request, as far as grants and resources
/// look at them. Nothing here is believed: it is what was sent.
#[derive(Clone, Default)]
pub struct RequestHead {
    /// The value of `Authorization`.
    pub authorization: Option<String>,
    /// The value of `DPoP` (RFC 9449 §4.1).
    pub dpop: Option<String>,
    /// Seconds that the client would rather wait for an answer (`Prefer: wait`,
    /// RFC 7240 §4.3); how long it does is decided where the waiting is.
    pub wait_s: Option<u32>,
    /// The method, for a proof's `htm`.
    pub method: String,
    /// The address without query and fragment, as the outside knows it, for a
    /// proof's `htu` and an assertion's `aud`.
    pub url: String,
    /// Where the request came from, as far as it can be believed.
    pub address: Option<IpAddr>,
}

impl RequestHead {
    /// Where it came from, for counting: an IPv4 address, or an IPv6 network of
    /// 64 bits, which is what one subscriber has (RFC 6177 §2).
    #[must_use]
    pub fn network(&self) -> String {
        match self.address.map(|address| address.to_canonical()) {
            None => String::new(),
            Some(IpAddr::V4(address)) => address.to_string(),
            Some(IpAddr::V6(address)) => {
                Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).to_string()
            }
        }
    }

    /// A request with this access token and nothing else: for callers in the
    /// same process.
    #[must_use]
    pub fn bearer(token: &str) -> Self {
        Self {
            authorization: Some(format!("Bearer {token}")),
            ..Self::default()
        }
    }

    /// Takes the headers; each may be there once.
    ///
    /// # Errors
    /// `invalid_request` or `invalid_dpop_proof` when one occurs twice or is no text.
    pub fn new(
        headers: &HeaderMap,
        method: &str,
        url: String,
        address: Option<IpAddr>,
    ) -> Result<Self, OauthError> {
        Ok(Self {
            authorization: only(headers, "authorization")?,
            dpop: only(headers, "dpop").map_err(|error| OauthError {
                code: Code::InvalidDpopProof,
                ..error
            })?,
            wait_s: wait(headers),
            method: method.to_owned(),
            url,
            address,
        })
    }
}

/// A preference that is not understood is none (RFC 7240 §2).
fn wait(headers: &HeaderMap) -> Option<u32> {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|preference| preference.split(';').next()?.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok())
}

fn only(headers: &HeaderMap, name: &str) -> Result<Option<String>, OauthError> {
    let mut all = headers.get_all(name).iter();
    let first = all.next();
    if all.next().is_some() {
        return Err(OauthError::request(format!(
            "the {name} header occurs twice"
        )));
    }
    first
        .map(|value| {
            value
                .to_str()
                .map(str::to_owned)
                .map_err(|_| OauthError::request(format!("the {name} header is malformed")))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_with_many_ipv6_addresses_is_one() {
        let network = |address: &str| {
            let address = address.parse().ok();
            RequestHead {
                address,
                ..RequestHead::default()
            }
            .network()
        };
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_preference_to_wait_is_found_among_others_and_nonsense_is_none() {
        let waits = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", http::HeaderValue::from_static(value));
            }
            wait(&headers)
        };
        assert_eq!(waits(&["wait=10"]), Some(10));
        assert_eq!(waits(&["respond-async, Wait = \"5\"; x=1"]), Some(5));
        assert_eq!(waits(&["respond-async", "wait=7"]), Some(7));
        for nonsense in ["wait", "wait=", "wait=-1", "wait=99999999999", "await=3"] {
            assert_eq!(waits(&[nonsense]), None, "{nonsense}");
        }
    }
}
