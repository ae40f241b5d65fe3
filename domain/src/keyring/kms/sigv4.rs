//! AWS Signature Version 4
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>),
//! for requests whose path and query need no encoding.

use aws_lc_rs::{digest, hmac};
use time::OffsetDateTime;
use time::macros::format_description;

use super::super::Error;
use crate::secret::Secret;

/// What a request is signed for.
pub(super) struct Scope<'a> {
    pub access_key_id: &'a str,
    pub secret_access_key: &'a Secret<String>,
    pub region: &'a str,
    pub service: &'a str,
}

/// What is signed. Header names are lower-case and sorted.
pub(super) struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

/// The time as `X-Amz-Date` has it, from Unix milliseconds.
pub(super) fn amz_date(now: i64) -> Result<String, Error> {
    OffsetDateTime::from_unix_timestamp(now.div_euclid(1000))
        .ok()
        .and_then(|at| {
            at.format(format_description!(
                "[year][month][day]T[hour][minute][second]Z"
            ))
            .ok()
        })
        .ok_or_else(|| Error::Unavailable("this machine's clock shows no time".to_owned()))
}

/// The `Authorization` header for a request that is sent at `date` (`X-Amz-Date`).
pub(super) fn authorization(scope: &Scope<'_>, request: &Request<'_>, date: &str) -> String {
    let day = date.get(..8).unwrap_or(date);
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let headers = request
        .headers
        .iter()
        .fold(String::new(), |text, (name, value)| {
            text + name + ":" + &trimmed(value) + "\n"
        });
    let canonical = [
        request.method,
        request.path,
        request.query,
        &headers,
        &names,
        &sha256_hex(request.body),
    ]
    .join("\n");
    let covers = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{covers}\n{}",
        sha256_hex(canonical.as_bytes())
    );
    let first = Secret::new(format!("AWS4{}", scope.secret_access_key.expose()));
    let key = [day, scope.region, scope.service, "aws4_request"]
        .into_iter()
        .fold(first.expose().as_bytes().to_vec(), |key, part| {
            mac(&key, part).as_ref().to_vec()
        });
    let signature = hex(mac(&key, &to_sign).as_ref());
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{covers}, SignedHeaders={names}, Signature={signature}",
        scope.access_key_id
    )
}

/// Without spaces at the ends, runs of them as one.
fn trimmed(value: &str) -> String {
    value
        .split(' ')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "20150830T123600Z";

    fn sign(method: &str, query: &str, headers: &[(&str, &str)], body: &str) -> String {
        let secret = Secret::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let scope = Scope {
            access_key_id: "AKIDEXAMPLE",
            secret_access_key: &secret,
            region: "us-east-1",
            service: "service",
        };
        let request = Request {
            method,
            path: "/",
            query,
            headers,
            body: body.as_bytes(),
        };
        authorization(&scope, &request, DATE)
    }

    /// AWS's published test suite for Signature Version 4.
    #[test]
    fn the_published_vectors_come_out() {
        let host = ("host", "example.amazonaws.com");
        let date = ("x-amz-date", DATE);
        let form = ("content-type", "application/x-www-form-urlencoded");
        for (name, got, signature) in [
            (
                "get-vanilla",
                sign("GET", "", &[host, date], ""),
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "get-vanilla-query-order-key-case",
                sign("GET", "Param1=value1&Param2=value2", &[host, date], ""),
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "get-header-value-trim",
                sign(
                    "GET",
                    "",
                    &[
                        host,
                        ("my-header1", " value1"),
                        ("my-header2", " \"a   b   c\""),
                        date,
                    ],
                    "",
                ),
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ),
            (
                "post-vanilla",
                sign("POST", "", &[host, date], ""),
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-x-www-form-urlencoded",
                sign("POST", "", &[form, host, date], "Param1=value1"),
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ] {
            let wanted = format!("Signature={signature}");
            assert!(got.ends_with(&wanted), "{name}: {got}");
            assert!(got.starts_with(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders="
            ));
        }
    }

    #[test]
    fn the_time_is_written_as_aws_reads_it() {
        assert_eq!(amz_date(1_440_938_160_999).unwrap(), DATE);
    }
}
