//! The list of faults: name, number, aim, what happens, and who is known to do it.
//!
//! "After the work" means that the fault leaves its traces: the code is used, the token rotated, the
//! message posted. What is not "after the work" and changes the answer as a whole leaves none.

use super::Target;

macro_rules! faults {
    ($($variant:ident $({ $field:ident: $kind:ty = $default:literal })?, $name:literal, $target:ident, $what:literal, $seen:literal;)*) => {
        /// One way to misbehave. The table in README.md says the same as this list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = $what] $variant $({
                /// The number behind the colon.
                $field: $kind,
            })?,)*
        }

        impl Fault {
            /// One of each, with the numbers that a bare name stands for.
            pub const ALL: &'static [Fault] = &[$(Fault::$variant $({ $field: $default })?),*];

            /// The stable name, without its number.
            pub fn name(self) -> &'static str {
                match self { $(Fault::$variant $({ $field: _ })? => $name,)* }
            }

            /// The number behind the name, if it takes one.
            pub fn number(self) -> Option<i64> {
                match self { $($(Fault::$variant { $field } => Some($field as i64),)?)* _ => None }
            }

            /// The same fault with another number; `None` if it takes none.
            pub fn numbered(self, number: u32) -> Option<Fault> {
                match self {
                    $($(Fault::$variant { $field: _ } => Some(Fault::$variant { $field: number.into() }),)?)*
                    _ => None,
                }
            }

            /// Where the fault goes when nobody says otherwise.
            pub fn natural_target(self) -> Target {
                match self { $(Fault::$variant $({ $field: _ })? => Target::$target,)* }
            }

            /// What happens, in a sentence without a full stop.
            pub fn what(self) -> &'static str {
                match self { $(Fault::$variant $({ $field: _ })? => $what,)* }
            }

            /// Who is known to do it, or the text that speaks of it; empty where nobody is known.
            pub fn seen_at(self) -> &'static str {
                match self { $(Fault::$variant $({ $field: _ })? => $seen,)* }
            }
        }
    };
}

faults! {
    // What a refresh does to the refresh token.
    StrictRotation, "strict-rotation", Refresh,
        "this refresh rotates; the old token presented again revokes the family",
        "RFC 9700 §4.14.2; [Auth0](https://auth0.com/docs/secure/tokens/refresh-tokens/refresh-token-rotation)";
    RotationGrace { seconds: i64 = 60 }, "rotation-grace", Refresh,
        "this refresh rotates; for so many seconds the old token answers the same successor again, until that one is used",
        "[Cognito](https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RefreshTokenRotationType.html)";
    RefreshTokenKept, "refresh-token-kept", Refresh,
        "this refresh keeps the token and answers none, wherever tokens rotate",
        "[Google](https://developers.google.com/identity/protocols/oauth2/web-server#offline)";
    SameRefreshToken, "same-refresh-token", Refresh,
        "this refresh keeps the token and answers the same one again",
        "[Asgardeo](https://wso2.com/asgardeo/docs/references/tokens/refresh-tokens/)";
    RefreshTokenOmitted, "refresh-token-omitted", Token,
        "after the work, the answer has no refresh token, whether one was made or not", "";
    EmptyRefreshToken, "empty-refresh-token", Refresh,
        "this refresh keeps the token and answers an empty text for it", "";
    TokenCap { families: u32 = 50 }, "token-cap", Code,
        "a person has at most so many living grants per app; a new one ends the oldest, silently",
        "[Google](https://developers.google.com/identity/protocols/oauth2#expiration)";
    RevokedByPerson, "revoked-by-person", Any,
        "everything behind the presented code or token has been revoked", "RFC 6749 §5.2";

    // The answer is lost, or another one comes.
    RequestLost, "request-lost", Any, "the connection is closed without a byte, nothing done", "";
    ConnectionReset, "connection-reset", Any, "the connection is reset (RST) without a byte, nothing done", "";
    AnswerLostAfterRotation, "answer-lost-after-rotation", Token,
        "after the work, the connection is closed without a byte", "";
    ConnectionResetAfterRotation, "connection-reset-after-rotation", Token,
        "after the work, the connection is reset (RST) without a byte", "";
    ClosedMidHeaders, "closed-mid-headers", Any,
        "after the work, the connection is closed in the middle of the headers", "";
    ErrorAfterRotation, "error-after-rotation", Token, "after the work, 500", "";
    TimeoutAfterRotation, "timeout-after-rotation", Token,
        "after the work, 504: the gateway gave up, the service behind it did not", "";
    HtmlAfterRotation, "html-after-rotation", Token, "after the work, 502 with an HTML page", "";
    EmptyBody, "empty-body", Any, "after the work, 200 and nothing", "";
    NoContent, "no-content", Any, "after the work, 204", "";
    SlowAnswer { ms: u64 = 1000 }, "slow-answer", Any,
        "after the work, waits so many milliseconds (a gate is better)", "";
    SlowDrip { ms: u64 = 5 }, "slow-drip", Any,
        "after the work, 16 bytes of the body at a time, with so many milliseconds between", "";

    // The service is unwell, and has done nothing.
    RateLimited { retry_after: u32 = 2 }, "rate-limited", Any,
        "429 with `Retry-After` in seconds, nothing done",
        "[Slack](https://docs.slack.dev/apis/web-api/rate-limits)";
    RateLimitedUntil { seconds: u32 = 30 }, "rate-limited-until", Any,
        "429 with `Retry-After` as a date so many seconds from now, nothing done", "RFC 9110 §10.2.3";
    RateLimitedBare, "rate-limited-bare", Any, "429 without `Retry-After`, nothing done", "";
    ServerError, "server-error", Any, "500, nothing done", "";
    BadGateway, "bad-gateway", Any, "502 in the service's own shape, nothing done", "";
    Unavailable, "unavailable", Any, "503, nothing done", "";
    GatewayTimeout, "gateway-timeout", Any, "504, nothing done", "";
    MaintenancePage { retry_after: u32 = 30 }, "maintenance-page", Any,
        "503 with `Retry-After` and an HTML page, nothing done", "";
    HtmlError, "html-error", Any, "502 with an HTML page, nothing done", "";
    HtmlPage, "html-page", Any, "200 with an HTML page (a captive portal), nothing done", "";
    OkFalse, "ok-false", Any,
        "200 with `{\"ok\":false,\"error\":\"internal_error\"}`, nothing done",
        "[Slack](https://docs.slack.dev/apis/web-api/)";
    ErrorIn200, "error-in-200", Any,
        "200 with `{\"error\":\"temporarily_unavailable\"}`, nothing done", "";
    ErrorAsText, "error-as-text", Any,
        "400 with the plain text `invalid_grant`, nothing done and nothing revoked", "";
    ErrorAsObject, "error-as-object", Any,
        "400 with an object where the code should be, nothing done",
        "[Facebook](https://developers.facebook.com/docs/graph-api/guides/error-handling)";
    UnknownErrorCode, "unknown-error-code", Token,
        "400 (Slack: 200) with the code `policy_says_no`, nothing done", "RFC 6749 §8.5";
    InvalidGrant { status: u32 = 400 }, "invalid-grant", Token,
        "that status with the service's word for `invalid_grant`; nothing was revoked", "";
    InvalidClient { status: u32 = 401 }, "invalid-client", Token,
        "that status with the service's word for `invalid_client`, nothing done", "";
    RotatedClientSecret, "rotated-client-secret", Token, "the client's secret is refused", "RFC 6749 §5.2";
    RedirectFound, "redirect-found", Token,
        "302 to `/elsewhere`, nothing done; `Control::followed_redirects` tells who went", "";
    RedirectOnToken, "redirect-on-token", Token, "307 to `/elsewhere` (same method and body), nothing done", "";
    RedirectPermanent, "redirect-permanent", Token, "308 to `/elsewhere`, nothing done", "";

    // The body is spoilt on its way, after the work.
    TruncatedJson, "truncated-json", Any, "after the work, the first half of the body, its length to match", "";
    CutShort { bytes: u32 = 3 }, "cut-short", Any,
        "after the work, so many bytes missing at the end of the body, its length to match", "";
    BodyCutOff, "body-cut-off", Any,
        "after the work, the length of the whole body and half of it, then the connection is closed", "";
    ChunkedWithoutEnd, "chunked-without-end", Any,
        "after the work, the whole body in chunks, and the connection is closed before the last, empty one", "RFC 9112 §8";
    HugeBody { mib: u32 = 16 }, "huge-body", Any,
        "after the work, so many MiB of spaces before the body, chunked", "";
    EndlessStream, "endless-stream", Any, "after the work, spaces without end", "";
    HugeHeaders { kib: u32 = 32 }, "huge-headers", Any, "so many KiB of headers beside the answer", "";
    GzipUnasked, "gzip-unasked", Any,
        "after the work, the body in gzip, whatever was accepted", "RFC 9110 §12.5.3";
    ByteOrderMark, "byte-order-mark", Any, "a byte order mark before the body", "RFC 8259 §8.1";
    Utf16, "utf-16", Any, "the body in UTF-16 (little end first, with its mark)", "RFC 8259 §8.1";
    WrongCharset, "wrong-charset", Any,
        "a further member `note` in ISO 8859-1, which is no UTF-8, and a header that says so", "RFC 8259 §8.1";
    WrongContentType, "wrong-content-type", Any, "the body as `text/html`", "";
    FormEncoded, "form-encoded", Token,
        "the token answer as a form instead of JSON",
        "[GitHub](https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps)";
    DuplicateKeys, "duplicate-keys", Token,
        "the tokens' members twice, made-up ones first", "RFC 8259 §4";
    TrailingGarbage, "trailing-garbage", Any, "an HTML comment behind the JSON", "";
    NullError, "null-error", Token, "`\"error\": null` beside the tokens", "";
    Continue100, "continue-100", Any, "an unasked `100 Continue` before the answer", "RFC 9110 §15.2.1";
    EarlyHints, "early-hints", Any, "a `103 Early Hints` before the answer", "RFC 8297";
    HopByHopHeaders, "hop-by-hop-headers", Any,
        "headers for the next hop only, one of them named by `Connection`", "RFC 9110 §7.6.1";
    KeepAliveClosed, "keep-alive-closed", Any,
        "a good answer; the next request on the same connection finds it closed", "RFC 9112 §9.6";
    SetsCookie, "sets-cookie", Any, "the answer sets a cookie", "";
    WrongClock { ahead: i64 = 7200 }, "wrong-clock", Any,
        "the service's clock is so many seconds ahead: `Date`, `issued_at`, the ID token's `iat` and `exp`", "";

    // What a token answer says.
    NoExpiresIn, "no-expires-in", Token,
        "the member is missing; the token expires as ever",
        "[Salesforce](https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_web_server_flow.htm)";
    ExpiresInText, "expires-in-text", Token,
        "the number as a text",
        "[Azure AD v1](https://learn.microsoft.com/en-us/previous-versions/azure/active-directory/azuread-dev/v1-protocols-oauth-code)";
    ExpiresInFloat, "expires-in-float", Token, "the number with a fraction", "";
    ExpiresInWords, "expires-in-words", Token, "`\"two hours\"`; the token expires as ever", "";
    ExpiresInNull, "expires-in-null", Token, "`null`; the token expires as ever", "";
    ExpiresInZero, "expires-in-zero", Token, "0; the token expires as ever", "";
    ExpiresInNegative, "expires-in-negative", Token, "-1; the token expires as ever", "";
    ExpiresInHuge, "expires-in-huge", Token, "2⁶³-1; the token expires as ever", "";
    ShortExpiry { seconds: i64 = 5 }, "short-expiry", Token, "tokens of this answer live so many seconds", "";
    CommaScopes, "comma-scopes", Token,
        "scopes of the answer are separated by commas",
        "[Slack](https://docs.slack.dev/authentication/installing-with-oauth), [GitHub](https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps)";
    ScopeList, "scope-list", Token,
        "scopes of the answer are a list", "[Twitch](https://dev.twitch.tv/docs/authentication/getting-tokens-oauth/)";
    NoScope, "no-scope", Token, "the answer names no scopes", "RFC 6749 §5.1";
    EmptyScope, "empty-scope", Token, "the answer's scopes are an empty text", "";
    SubsetOfScopes, "subset-of-scopes", Token,
        "the last scope asked for is not granted",
        "[Google](https://developers.google.com/identity/protocols/oauth2/resources/granular-permissions)";
    ExtraScopes, "extra-scopes", Token, "the answer names a scope that nobody asked for, `extra.unasked`", "";
    EmptyAccessToken, "empty-access-token", Token, "after the work, the access token is an empty text", "";
    NoAccessToken, "no-access-token", Token, "after the work, the answer has no access token", "";
    NoTokenType, "no-token-type", Token, "the member is missing", "";
    TokenTypeCase, "token-type-case", Token, "`BEARER`", "RFC 6749 §5.1";
    UnknownTokenType, "unknown-token-type", Token, "`N_A`", "RFC 8693 §2.2.1";
    ChangedIdentity, "changed-identity", TokenOrIdentity, "`stranger@example.com` answers", "";

    // The way back from the consent page.
    ConsentDenied, "consent-denied", Consent, "whatever the person says, `access_denied`", "RFC 6749 §4.1.2.1";
    ConsentServerError, "consent-server-error", Consent, "the browser comes back with `server_error`", "RFC 6749 §4.1.2.1";
    ConsentUnavailable, "consent-unavailable", Consent,
        "the browser comes back with `temporarily_unavailable`", "RFC 6749 §4.1.2.1";
    ConsentRequired, "consent-required", Consent,
        "the browser comes back with `consent_required`", "OpenID Connect Core §3.1.2.6";
    WrongState, "wrong-state", Consent, "the answer carries another `state`", "";
    NoState, "no-state", Consent, "the answer carries no `state`", "";
    NoIss, "no-iss", Consent, "the answer carries no `iss` (only Google's ever does)", "RFC 9207 §2";
    WrongIss, "wrong-iss", Consent, "the answer carries somebody else's `iss`: a mix-up", "RFC 9207 §2.4";
    NoCode, "no-code", Consent, "the answer carries neither code nor error", "";
    CodeUsed, "code-used", Consent, "the code has been used when it arrives", "RFC 6749 §10.5";
    CodeExpired, "code-expired", Consent, "the code has expired when it arrives", "";

    // Who somebody is.
    NoIdentityId, "no-identity-id", Identity, "the answer has no id of the person", "";
    IdentityAsNumber, "identity-as-number", Identity,
        "an id of digits comes as a number, too long for a double (Google's)", "RFC 8259 §6";
    UnverifiedEmail, "unverified-email", Identity, "the address is said to be unverified", "OpenID Connect Core §5.1";

    // Calls with an access token.
    SessionExpired, "session-expired", Api,
        "the access token counts as expired",
        "[Salesforce](https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm): `INVALID_SESSION_ID`";
    Unauthorized, "unauthorized", Api, "401, nothing done", "RFC 6750 §3.1";
    UnauthorizedAfterWork, "unauthorized-after-work", Api, "after the work, 401 all the same", "";
    Forbidden, "forbidden", Api, "403, nothing done", "";
    InsufficientScope, "insufficient-scope", Api, "403 with `insufficient_scope`, nothing done", "RFC 6750 §3.1";
    RedirectAway, "redirect-away", Api,
        "302 to another host name (`localhost` for `127.0.0.1` and the other way round), nothing done", "";
    EchoInBody, "echo-in-body", Api,
        "after the work, the credential in the body: plain, in base64, URL-encoded", "";
    EchoInHeader, "echo-in-header", Api, "the credential in a header of the answer", "";
    EchoAcrossChunks, "echo-across-chunks", Api,
        "after the work, the credential in the body, three bytes a chunk", "";

    // Ending a grant.
    RevokeDoesNothing, "revoke-does-nothing", Revoke, "a good answer, and nothing is revoked", "";
    RevokeUnknownToken, "revoke-unknown-token", Revoke,
        "the token is said to be unknown, and nothing is revoked",
        "[Google](https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke)";
    RevokeUnsupported, "revoke-unsupported", Revoke,
        "400 with `unsupported_token_type`, and nothing is revoked", "RFC 7009 §2.2.1";
}
