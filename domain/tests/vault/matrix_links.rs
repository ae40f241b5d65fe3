//! Faults that strike a link: on the way back from the consent page, at the
//! token endpoint with the code, at the identity endpoint.

use domain::vault::link::Error;
use domain::vault::{TokenKind, accounts, fresh_token};
use sandbox::{Fault, Provider, Target, Times};

use crate::stage::Stage;

const GOOGLE: Provider = Provider::Google;

/// What became of a link.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Linked,
    /// The person said no.
    Refused(String),
    /// The provider did not complete it.
    Failed(String),
    /// The answer belongs to no attempt of this person.
    Unknown,
    Other(String),
}

fn failed(code: &str) -> Came {
    Came::Failed(code.to_owned())
}

async fn link(stage: &Stage) -> Came {
    match stage.try_link(GOOGLE, "ada@example.com").await {
        Ok(_) => Came::Linked,
        Err(Error::Refused { code, .. }) => Came::Refused(code),
        Err(Error::Failed { code, .. }) => Came::Failed(code),
        Err(Error::UnknownState) => Came::Unknown,
        Err(other) => Came::Other(other.to_string()),
    }
}

async fn accounts_of_ada(stage: &Stage) -> usize {
    accounts::list(stage, &stage.ada.id).await.unwrap().len()
}

#[tokio::test]
async fn a_link_that_goes_wrong_says_whose_doing_it_was_and_stores_nothing() {
    let checks = [
        (
            Fault::ConsentDenied,
            Came::Refused("access_denied".to_owned()),
        ),
        // An outage is not the person's refusal.
        (Fault::ConsentServerError, failed("server_error")),
        (Fault::ConsentUnavailable, failed("temporarily_unavailable")),
        (Fault::ConsentRequired, failed("consent_required")),
        (Fault::WrongState, Came::Unknown),
        (Fault::CodeUsed, failed("invalid_grant")),
        (Fault::CodeExpired, failed("invalid_grant")),
        (Fault::NoIdentityId, failed("identity_missing")),
        (Fault::IdentityAsNumber, failed("identity_missing")),
    ];
    let stage = Stage::new().await;
    for (fault, meant) in checks {
        stage.control.set_fault(GOOGLE, fault, Times::Once);
        assert_eq!(link(&stage).await, meant, "{fault}");
        assert_eq!(accounts_of_ada(&stage).await, 0, "{fault}");
    }
    let token = [
        (Fault::EmptyAccessToken, failed("answer_lost")),
        (Fault::NoAccessToken, failed("answer_lost")),
        (Fault::ErrorAsText, failed("answer_lost")),
        (Fault::ErrorIn200, failed("unavailable")),
        (Fault::InvalidGrant { status: 503 }, failed("unavailable")),
        (Fault::RateLimitedBare, failed("rate_limited")),
        (Fault::UnknownErrorCode, failed("policy_says_no")),
    ];
    for (fault, meant) in token {
        stage
            .control
            .set_fault_on(GOOGLE, Target::Code, fault, Times::Once);
        assert_eq!(link(&stage).await, meant, "{fault}");
        assert_eq!(accounts_of_ada(&stage).await, 0, "{fault}");
    }
    assert_eq!(link(&stage).await, Came::Linked);
}

#[tokio::test]
async fn a_link_whose_answer_only_looks_odd_is_made_and_can_be_refreshed() {
    let stage = Stage::new().await;
    for fault in [
        Fault::ByteOrderMark,
        Fault::Utf16,
        Fault::WrongCharset,
        Fault::WrongContentType,
        Fault::GzipUnasked,
        Fault::FormEncoded,
        Fault::DuplicateKeys,
        Fault::TrailingGarbage,
        Fault::ChunkedWithoutEnd,
        Fault::CutShort { bytes: 3 },
        Fault::NullError,
        Fault::ExpiresInZero,
        Fault::ExpiresInHuge,
        Fault::ExpiresInWords,
        Fault::NoExpiresIn,
        Fault::NoScope,
        Fault::EmptyScope,
        Fault::CommaScopes,
        Fault::NoTokenType,
    ] {
        stage
            .control
            .set_fault_on(GOOGLE, Target::Code, fault, Times::Once);
        assert_eq!(link(&stage).await, Came::Linked, "{fault}");
        let linked = accounts::list(&stage, &stage.ada.id).await.unwrap();
        assert_eq!(linked.len(), 1, "{fault}: the same account again");
        assert!(
            linked[0].scopes.len() > 1,
            "{fault}: {:?}",
            linked[0].scopes
        );
        stage.pass(3600);
        let token = fresh_token(&stage, &linked[0].id, TokenKind::User).await;
        assert!(token.is_ok(), "{fault}");
    }
    stage
        .control
        .set_fault(GOOGLE, Fault::UnverifiedEmail, Times::Once);
    assert_eq!(link(&stage).await, Came::Linked);
}
