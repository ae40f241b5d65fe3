//! Wire types and server functions, one file an area. A wire type is what a
//! page shows: sentences are resolved, times are rendered, nothing secret is
//! in it. The `ssr` part of each file turns the domain's types into these.

pub mod accounts;
pub mod activity;
pub mod admin;
pub mod approvals;
pub mod channels;
pub mod devices;
pub mod policies;
pub mod runs;

use serde::{Deserialize, Serialize};

/// A moment, rendered three ways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// RFC 3339, for `<time datetime>`.
    pub iso: String,
    /// In full, UTC.
    pub full: String,
    /// As a person would say it now: `5 min. ago`.
    pub relative: String,
}

/// The shape and colour of a status; its word goes beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tone {
    /// Well: a ring with a tick.
    Good,
    /// Somebody must act: a clock.
    Wait,
    /// Broken: a triangle.
    Bad,
    /// Refused: a ring with a cross.
    No,
    /// Over, or of no concern: a ring with a bar.
    #[default]
    Quiet,
    /// Under way: a turning arc.
    Moving,
}

/// Where something stands: shape, word, colour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Status {
    /// Shape and colour.
    pub tone: Tone,
    /// The word.
    pub word: String,
}

impl Status {
    /// A status from its two halves.
    #[must_use]
    pub fn new(tone: Tone, word: impl Into<String>) -> Self {
        Self {
            tone,
            word: word.into(),
        }
    }
}

#[cfg(feature = "ssr")]
pub(crate) use ssr::{Problem, Seen, seen, server_error, stamp};

#[cfg(feature = "ssr")]
mod ssr {
    use domain::Engine;
    use leptos::prelude::*;
    use leptos::server_fn::ServerFnError;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;
    use time::macros::format_description;

    use super::Stamp;
    use crate::context::{self, Viewer};
    use crate::words::{t, tn};

    /// Why a page is not shown.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Problem {
        /// Nobody is signed in.
        SignedOut,
        /// Only admins may see it.
        AdminsOnly,
        /// There is no such thing, or it is somebody else's.
        NotFound,
        /// Something failed; the cause is for the log only.
        Broken(String),
    }

    impl<E: std::error::Error> From<E> for Problem {
        fn from(error: E) -> Self {
            let mut cause = error.to_string();
            let mut source = error.source();
            while let Some(deeper) = source {
                cause.push_str(": ");
                cause.push_str(&deeper.to_string());
                source = deeper.source();
            }
            Self::Broken(cause)
        }
    }

    /// The engine and who looks.
    #[derive(Clone)]
    pub struct Seen {
        pub engine: Engine,
        pub viewer: Viewer,
    }

    /// Who looks at this page or calls this server function.
    ///
    /// # Errors
    /// [`Problem::SignedOut`].
    pub fn seen() -> Result<Seen, Problem> {
        let viewer = context::viewer().ok_or(Problem::SignedOut)?;
        let engine = use_context::<Engine>()
            .ok_or_else(|| Problem::Broken("no engine in the context".to_owned()))?;
        Ok(Seen { engine, viewer })
    }

    /// What a server function answers instead. The cause stays in the log.
    pub fn server_error(problem: Problem) -> ServerFnError {
        use axum::http::StatusCode;
        let (status, words) = match problem {
            Problem::SignedOut => (StatusCode::UNAUTHORIZED, t("problem-signed-out")),
            Problem::AdminsOnly => (StatusCode::FORBIDDEN, t("problem-admins-only")),
            Problem::NotFound => (StatusCode::NOT_FOUND, t("problem-not-found")),
            Problem::Broken(cause) => {
                tracing::error!(%cause, trace = context::trace(), "a server function failed");
                (StatusCode::INTERNAL_SERVER_ERROR, t("problem-broken"))
            }
        };
        context::set_status(status);
        ServerFnError::ServerError(words)
    }

    /// A moment as it is said at `now`; both Unix milliseconds.
    pub fn stamp(now: i64, at: i64) -> Stamp {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let full = format_description!(
            "[day padding:none] [month repr:short] [year], [hour]:[minute] UTC"
        );
        let day = format_description!("[day padding:none] [month repr:short] [year]");
        let seconds = (at - now) / 1000;
        let relative = match seconds.abs() {
            0..=59 if seconds <= 0 => t("time-now"),
            0..=59 => tn("time-in-seconds", seconds),
            60..=3_599 if seconds < 0 => tn("time-minutes-ago", -seconds / 60),
            60..=3_599 => tn("time-in-minutes", seconds / 60),
            3_600..=86_399 if seconds < 0 => tn("time-hours-ago", -seconds / 3_600),
            3_600..=86_399 => tn("time-in-hours", seconds / 3_600),
            86_400..=604_799 if seconds < 0 => tn("time-days-ago", -seconds / 86_400),
            86_400..=604_799 => tn("time-in-days", seconds / 86_400),
            _ => moment.format(day).unwrap_or_default(),
        };
        Stamp {
            iso: moment.format(&Rfc3339).unwrap_or_default(),
            full: moment.format(full).unwrap_or_default(),
            relative,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn moments_are_said_as_a_person_would() {
            let now = 1_795_500_000_000;
            let said = |ago_s: i64| stamp(now, now - ago_s * 1000).relative;
            assert_eq!(said(3), "now");
            assert_eq!(said(61), "1 min. ago");
            assert_eq!(said(-125), "in 2 min.");
            assert_eq!(said(7_300), "2 hr. ago");
            assert_eq!(said(3 * 86_400), "3 days ago");
            assert_eq!(said(90_000), "yesterday");
            assert!(said(40 * 86_400).ends_with(" 2026"));
        }

        #[test]
        fn a_moment_no_calendar_has_does_not_panic() {
            let _ = stamp(0, i64::MAX);
            let _ = stamp(0, i64::MIN / 2);
        }
    }
}
