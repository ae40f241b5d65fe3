//! The world around the protocol: rows, a provider, instances, time.
//!
//! What the instances do is what `flight.rs` does, one effect at a time; what
//! belongs to one write there is one move here. Everything that is nobody's to
//! decide (who acts next, when time passes, what becomes of a request) is a
//! [`Move`], so that a checker can try all of them and a generator any.
//!
//! Time comes in ticks. A request is at the provider and answered, or lost,
//! within [`CALL`] ticks; between two of its steps an instance may be stopped
//! for any time. An answer that its holder has not stored when its lease is
//! taken over counts as lost in flight: nobody can know of it.

mod acts;

use std::hash::{DefaultHasher, Hash, Hasher};

use super::super::{Effect, Event, Outcome, Refusal, State, step};
use crate::vault::Reason;

/// A holder sends nothing once it has had the lease for longer (ticks).
pub const SEND_BY: u8 = 1;
/// A call is over after so long, whatever became of it (ticks).
pub const CALL: u8 = 1;
/// For how long a holding must have stood before it may be taken over (ticks):
/// the last moment to send, a whole call, and time to store the answer.
pub const TAKEOVER: u8 = SEND_BY + CALL + 1;

/// What the provider does with a refresh token that was spent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It ends the whole family.
    Strict,
    /// It is refused.
    Plain,
    /// The last one is answered with the same successor again.
    Grace,
}

/// The protocol's precautions, to be switched off one by one.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub rotation: Rotation,
    /// How long a holding is left alone (ticks).
    pub takeover: u8,
    /// Answers are stored before anything is decided about them.
    pub stores: bool,
    /// Nobody writes an intent while an answer to its question lies stored.
    pub intent_looks: bool,
    /// Whoever chooses a stored answer lets go of the lease it was stored
    /// under, and of no other.
    pub frees_its_own: bool,
}

impl Rules {
    pub const fn careful(rotation: Rotation) -> Self {
        Self {
            rotation,
            takeover: TAKEOVER,
            stores: true,
            intent_looks: true,
            frees_its_own: true,
        }
    }
}

/// A redemption while another's holder lives.
pub const OVERLAP: &str = "two redemptions overlapped";
/// Only the person could mend it, and nothing was lost on the way.
pub const GIVEN_UP: &str = "a grant was given up that was not lost";
/// The provider ended a family whose successor was stored or coming.
pub const FAMILY: &str = "a family was ended that had a successor";
/// Nobody has the newest token, and nothing was lost on the way.
pub const THROWN_AWAY: &str = "an answer was thrown away";

/// One refresh token after the other: the nth is spent for the n+1st.
pub type Token = u16;
/// A holding of the lease.
pub type Holding = u8;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Instance {
    pub state: State,
    /// What it does next; `None` while nobody asks it for a token.
    pub effect: Option<Effect>,
    /// The token that its caller found to be spent.
    asked: Token,
    /// The refresh token as it looked last.
    held: Token,
    pub holding: Option<Holding>,
    /// How long ago it took the lease.
    age: u8,
    /// How long it has waited for another's.
    waited: u8,
    /// Its request is on the way.
    pub calling: bool,
    /// What the provider answered, until it is stored.
    pub answer: Option<Token>,
    /// Its lease was taken over before it had stored the answer.
    late: bool,
    pub outcome: Option<Outcome>,
}

impl Instance {
    const fn idle() -> Self {
        Self {
            state: State::start(),
            effect: None,
            asked: 0,
            held: 0,
            holding: None,
            age: 0,
            waited: 0,
            calling: false,
            answer: None,
            late: false,
            outcome: None,
        }
    }

    fn hear(&mut self, event: Event) {
        let (state, effect) = step(&self.state, event);
        self.state = state;
        self.waited = 0;
        self.effect = Some(effect);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    holding: Holding,
    token: Token,
    age: u8,
    /// What the provider answered: a successor or a refusal.
    answer: Option<Option<Token>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Candidate {
    of: Holding,
    /// Stored when somebody else had already written down to ask again.
    late: bool,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// Time passes, for everybody.
    Tick,
    /// A caller finds the access token spent.
    Begin(usize),
    /// The instance does its next effect.
    Act(usize),
    /// `kill -9`.
    Crash(usize),
    /// The provider is being spared: the instance gets no leave to ask.
    Spare(usize),
    /// The provider carries a request out.
    Handle(usize),
    /// Its answer arrives.
    Deliver(usize),
    /// The request never reaches the provider, and its caller knows that.
    NotSent(usize),
    /// Request or answer is lost, and its caller does not know which.
    Lose(usize),
}

impl Move {
    /// Whether it counts against the faults that are left.
    pub const fn is_fault(self) -> bool {
        matches!(
            self,
            Self::Crash(_) | Self::Spare(_) | Self::NotSent(_) | Self::Lose(_)
        )
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    // The rows.
    pub token: Token,
    candidate: Option<Candidate>,
    /// Whether an intent on this token has ended without anybody knowing how.
    unknown: bool,
    /// The holding with an open intent on this token.
    open: Option<Holding>,
    pub ended: Option<Reason>,
    lease: Option<Holding>,
    // The provider.
    pub valid: Token,
    pub dead: bool,
    // What is under way.
    pub instances: Vec<Instance>,
    pub calls: Vec<Call>,
    pub faults_left: u16,
    // What happened.
    /// The newest token's answer was lost in flight.
    pub lost: bool,
    pub taken_over: bool,
    pub overlapped: bool,
    pub ended_with_successor: bool,
}

impl World {
    pub fn new(instances: usize, faults: u16) -> Self {
        Self {
            token: 1,
            candidate: None,
            unknown: false,
            open: None,
            ended: None,
            lease: None,
            valid: 1,
            dead: false,
            instances: vec![Instance::idle(); instances],
            calls: Vec::new(),
            faults_left: faults,
            lost: false,
            taken_over: false,
            overlapped: false,
            ended_with_successor: false,
        }
    }

    /// Whether somebody can still come by the newest token, or its loss is known.
    fn newest_is_somewhere(&self) -> bool {
        let newest = self.valid;
        self.token == newest
            || self.lost
            || (self.candidate.is_some() && self.token + 1 == newest)
            || self.instances.iter().any(|one| one.answer == Some(newest))
            || self
                .calls
                .iter()
                .any(|call| call.answer == Some(Some(newest)))
    }

    /// Whether only the person could mend it now.
    pub const fn is_given_up(&self) -> bool {
        self.dead || (self.ended.is_some() && self.candidate.is_none())
    }

    /// What must never be, if it is.
    pub fn wrong(&self, rules: &Rules) -> Option<&'static str> {
        // Where the last token is answered again, a lost answer is no excuse.
        let excused = self.lost && rules.rotation != Rotation::Grace;
        if self.overlapped {
            Some(OVERLAP)
        } else if self.is_given_up() && !excused {
            Some(GIVEN_UP)
        } else if self.ended_with_successor {
            Some(FAMILY)
        } else if !self.newest_is_somewhere() {
            Some(THROWN_AWAY)
        } else {
            None
        }
    }

    /// Whether an answer is on its way or not yet stored.
    pub fn is_under_way(&self) -> bool {
        !self.calls.is_empty() || self.instances.iter().any(|one| one.answer.is_some())
    }

    /// Everything that may happen now.
    pub fn moves(&self, rules: &Rules, moves: &mut Vec<Move>) {
        if self.calls.iter().all(|call| call.age < CALL) {
            moves.push(Move::Tick);
        }
        for (who, one) in self.instances.iter().enumerate() {
            match &one.effect {
                None => {
                    if self.ended.is_none() || self.candidate.is_some() {
                        moves.push(Move::Begin(who));
                    }
                    continue;
                }
                Some(_) if one.calling => {}
                Some(Effect::AwaitLease { counter }) => {
                    let counter = u8::try_from(*counter).ok();
                    let over = self.lease != counter || self.candidate.is_some();
                    if over || one.waited >= rules.takeover {
                        moves.push(Move::Act(who));
                    }
                }
                Some(_) => moves.push(Move::Act(who)),
            }
            if self.faults_left > 0 {
                moves.push(Move::Crash(who));
                if matches!(one.effect, Some(Effect::TakeLease { .. })) {
                    moves.push(Move::Spare(who));
                }
            }
        }
        for (which, call) in self.calls.iter().enumerate() {
            if call.answer.is_some() {
                moves.push(Move::Deliver(which));
            } else {
                moves.push(Move::Handle(which));
                if self.faults_left > 0 {
                    moves.push(Move::NotSent(which));
                }
            }
            if self.faults_left > 0 {
                moves.push(Move::Lose(which));
            }
        }
    }

    pub fn make(&mut self, rules: &Rules, what: Move) {
        match what {
            Move::Tick => self.tick(rules),
            Move::Begin(who) => {
                let token = self.token;
                let one = &mut self.instances[who];
                one.asked = token;
                one.hear(Event::Begin);
            }
            Move::Act(who) => self.act(rules, who),
            Move::Crash(who) => {
                self.faults_left -= 1;
                self.crash(who);
            }
            Move::Spare(who) => {
                self.faults_left -= 1;
                let retry_after_s = None;
                self.instances[who].hear(Event::NotDone { retry_after_s });
            }
            Move::Handle(which) => self.handle(rules, which),
            Move::Deliver(which) => self.deliver(which),
            Move::NotSent(which) => {
                self.faults_left -= 1;
                let retry_after_s = None;
                self.give_up(which, Event::NotDone { retry_after_s });
            }
            Move::Lose(which) => {
                self.faults_left -= 1;
                let retry_after_s = None;
                self.give_up(which, Event::Unanswered { retry_after_s });
            }
        }
    }

    fn tick(&mut self, rules: &Rules) {
        for one in &mut self.instances {
            if one.holding.is_some() {
                one.age = (one.age + 1).min(SEND_BY + 1);
            }
            if matches!(one.effect, Some(Effect::AwaitLease { .. })) {
                one.waited = (one.waited + 1).min(rules.takeover);
            }
        }
        for call in &mut self.calls {
            call.age += 1;
        }
    }

    fn caller(&mut self, holding: Holding) -> Option<&mut Instance> {
        self.instances
            .iter_mut()
            .find(|one| one.calling && one.holding == Some(holding))
    }

    /// The provider carries a request out.
    fn handle(&mut self, rules: &Rules, which: usize) {
        let (token, holding) = (self.calls[which].token, self.calls[which].holding);
        let answer = if self.dead {
            None
        } else if token == self.valid {
            self.valid += 1;
            Some(self.valid)
        } else if rules.rotation == Rotation::Grace && token + 1 == self.valid {
            Some(self.valid)
        } else {
            if rules.rotation != Rotation::Plain {
                self.dead = true;
            }
            // Stored in time, it must have been chosen instead of asking.
            let stored = self.candidate.as_ref().is_some_and(|stored| !stored.late);
            self.ended_with_successor |= self.dead && (!self.lost || stored);
            None
        };
        if self.caller(holding).is_some() {
            self.calls[which].answer = Some(answer);
        } else {
            self.lost |= answer.is_some();
            self.calls.remove(which);
        }
    }

    fn deliver(&mut self, which: usize) {
        let call = self.calls.remove(which);
        let answer = call.answer.flatten();
        let Some(one) = self.caller(call.holding) else {
            return;
        };
        one.calling = false;
        one.answer = answer;
        one.hear(match answer {
            Some(_) => Event::Answered,
            None => Event::Refused(Refusal::Grant),
        });
    }

    fn give_up(&mut self, which: usize, event: Event) {
        let call = self.calls.remove(which);
        self.lost |= matches!(call.answer, Some(Some(_)));
        if let Some(one) = self.caller(call.holding) {
            one.calling = false;
            one.hear(event);
        }
    }

    /// Memory is gone; rows, and requests on the way, are not.
    fn crash(&mut self, who: usize) {
        let gone = std::mem::replace(&mut self.instances[who], Instance::idle());
        // Without a store the protocol says nothing is lost: that is the point.
        let in_flight = matches!(gone.effect, Some(Effect::KeepAnswer));
        self.lost |= gone.answer == Some(self.valid) && in_flight;
        if gone.calling {
            let which = self
                .calls
                .iter()
                .position(|call| Some(call.holding) == gone.holding);
            if let Some(which) = which.filter(|which| self.calls[*which].answer.is_some()) {
                self.lost |= self.calls[which].answer.flatten().is_some();
                self.calls.remove(which);
            }
        }
    }

    /// What one instance left alone makes of it: everybody crashes, what is on
    /// the way arrives nowhere, and somebody asks for a token until there is one.
    pub fn left_alone(mut self, rules: &Rules) -> Option<Outcome> {
        for who in 0..self.instances.len() {
            self.crash(who);
        }
        while !self.calls.is_empty() {
            self.handle(rules, 0);
        }
        let mut moves = Vec::new();
        for _ in 0..200 {
            let done = self.instances[0].outcome.take();
            if let Some(outcome) = done.filter(|done| !matches!(done, Outcome::Down { .. })) {
                return Some(outcome);
            }
            moves.clear();
            self.moves(rules, &mut moves);
            let own = |one: &&Move| {
                matches!(
                    one,
                    Move::Begin(0) | Move::Act(0) | Move::Handle(_) | Move::Deliver(_)
                )
            };
            let Some(next) = moves.iter().find(own).or(moves.first()).copied() else {
                return self.ended.map(Outcome::Reconnect);
            };
            if next == Move::Tick && self.instances[0].effect.is_none() {
                return self.ended.map(Outcome::Reconnect);
            }
            self.make(rules, next);
        }
        None
    }

    /// The same world with its instances in an order that does not depend on
    /// who they are: they are alike.
    pub fn sorted(mut self) -> Self {
        self.instances.sort_by_cached_key(|one| {
            let mut hasher = DefaultHasher::new();
            one.hash(&mut hasher);
            hasher.finish()
        });
        self
    }
}
