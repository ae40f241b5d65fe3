//! Pending approvals: making many, and polling them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::load::{Caller, Step, until_done};
use crate::meter::Result;
use crate::program::Program;
use crate::wire::Answer;

/// Who polls again sooner than this hears `slow_down` (CIBA Core §11), and a little for the way there.
pub const PATIENCE: Duration = Duration::from_millis(5_050);

/// Makes so many pending approvals and gives their `auth_req_id`s.
///
/// # Errors
/// When one is refused.
pub async fn make(program: &Arc<Program>, count: usize, connections: usize) -> Result<Vec<String>> {
    let left = Arc::new(AtomicUsize::new(count));
    let agent = |_| Agent {
        program: program.clone(),
        left: left.clone(),
        made: Vec::new(),
    };
    let agents = until_done(program, (0..connections).map(agent).collect()).await?;
    Ok(agents.into_iter().flat_map(|agent| agent.made).collect())
}

struct Agent {
    program: Arc<Program>,
    left: Arc<AtomicUsize>,
    made: Vec<String>,
}

impl Caller for Agent {
    fn next(&mut self) -> Step {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        let Ok(number) = taken else {
            return Step::Rest;
        };
        let message = format!("BENCH-{number}");
        let body = self.program.form([
            ("scope", "openid"),
            ("login_hint", &self.program.client.person),
            ("binding_message", &message),
            // They outlast the run.
            ("requested_expiry", "7200"),
        ]);
        Step::Send(self.program.backchannel, body)
    }

    fn take(&mut self, answer: &Answer) -> std::result::Result<(), String> {
        let id = answer.text("auth_req_id").ok_or_else(|| answer.name())?;
        self.made.push(id);
        Ok(())
    }
}

/// Approvals that are polled one after the other, and again from the first.
pub struct Ring {
    forms: Vec<String>,
    polled: Vec<AtomicU64>,
    at: AtomicUsize,
    begun: Instant,
    patience: Option<Duration>,
    expect: &'static str,
}

impl Ring {
    /// Polled no sooner than they may be: all answers are `authorization_pending`.
    pub fn patient(program: &Program, ids: &[String]) -> Arc<Self> {
        Self::new(program, ids, Some(PATIENCE), "authorization_pending")
    }

    /// Polled as fast as can be, by a program that does not mind.
    pub fn unminded(program: &Program, ids: &[String]) -> Arc<Self> {
        Self::new(program, ids, None, "authorization_pending")
    }

    /// Polled as fast as can be: all answers are `slow_down`, once they were polled often enough.
    pub fn hasty(program: &Program, ids: &[String]) -> Arc<Self> {
        Self::new(program, ids, None, "slow_down")
    }

    fn new(
        program: &Program,
        ids: &[String],
        patience: Option<Duration>,
        expect: &'static str,
    ) -> Arc<Self> {
        Arc::new(Self {
            forms: ids.iter().map(|id| poll_form(program, id)).collect(),
            polled: ids.iter().map(|_| AtomicU64::new(0)).collect(),
            at: AtomicUsize::new(0),
            begun: Instant::now(),
            patience,
            expect,
        })
    }

    /// How many it has.
    pub fn len(&self) -> usize {
        self.forms.len()
    }
}

/// The body of a poll.
pub fn poll_form(program: &Program, auth_req_id: &str) -> String {
    program.form([
        ("grant_type", "urn:openid:params:grant-type:ciba"),
        ("auth_req_id", auth_req_id),
    ])
}

/// Polls what is next in the ring.
pub struct Poller {
    path: &'static str,
    ring: Arc<Ring>,
    next: Option<usize>,
    /// How often it still polls; `None` for as long as it is let.
    left: Option<usize>,
}

impl Poller {
    /// Polls as long as it is let.
    pub fn new(program: &Program, ring: &Arc<Ring>) -> Self {
        Self {
            path: program.token,
            ring: ring.clone(),
            next: None,
            left: None,
        }
    }

    /// Polls so often, whatever the answer.
    pub fn so_often(program: &Program, ring: &Arc<Ring>, times: usize) -> Self {
        Self {
            left: Some(times),
            ..Self::new(program, ring)
        }
    }
}

impl Caller for Poller {
    fn next(&mut self) -> Step {
        if self.left == Some(0) {
            return Step::Rest;
        }
        let ring = &self.ring;
        let index = *self
            .next
            .get_or_insert_with(|| ring.at.fetch_add(1, Ordering::Relaxed) % ring.len().max(1));
        let (Some(form), Some(polled)) = (ring.forms.get(index), ring.polled.get(index)) else {
            return Step::Rest;
        };
        if let Some(patience) = ring.patience {
            let last = polled.load(Ordering::Relaxed);
            let due = ring.begun + Duration::from_millis(last) + patience;
            if last > 0 && Instant::now() < due {
                return Step::Wait(due);
            }
            let now = u64::try_from(ring.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            polled.store(now.max(1), Ordering::Relaxed);
        }
        self.next = None;
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        Step::Send(self.path, form.clone())
    }

    fn take(&mut self, answer: &Answer) -> std::result::Result<(), String> {
        let right = answer.status == StatusCode::BAD_REQUEST && answer.has(self.ring.expect);
        let whatever = self.left.is_some();
        (right || whatever)
            .then_some(())
            .ok_or_else(|| answer.name())
    }
}
