//! What an instance does next, effect by effect, as `flight.rs` does it.

use super::super::super::{Effect, Event, Settlement, View};
use super::{Call, Candidate, Holding, Instance, Rules, SEND_BY, World};

impl World {
    pub(super) fn act(&mut self, rules: &Rules, who: usize) {
        let Some(effect) = self.instances[who].effect.clone() else {
            return;
        };
        let event = match effect {
            Effect::Look => self.look(who),
            Effect::TakeLease { over } => self.take_lease(who, over),
            Effect::AwaitLease { counter } => {
                let counter = u8::try_from(counter).ok();
                if self.lease != counter || self.candidate.is_some() {
                    Event::LeaseFreed
                } else {
                    Event::LeaseOverdue
                }
            }
            Effect::WriteIntent => self.write_intent(rules, who),
            Effect::AskProvider => {
                let Some(event) = self.ask_provider(who) else {
                    return;
                };
                event
            }
            Effect::KeepAnswer => self.keep_answer(rules, who),
            Effect::Choose => self.choose(rules, who),
            Effect::Settle(settlement) => self.settle(who, &settlement),
            Effect::Release => {
                self.let_go(who);
                Event::Settled
            }
            Effect::Finish(outcome) => {
                let idle = Instance::idle();
                self.instances[who] = idle;
                self.instances[who].outcome = Some(outcome);
                return;
            }
        };
        self.instances[who].hear(event);
    }

    fn look(&mut self, who: usize) -> Event {
        let one = &mut self.instances[who];
        one.held = self.token;
        Event::Seen(View {
            gone: false,
            stale: self.token == one.asked,
            can_refresh: true,
            candidate: self.candidate.is_some(),
            unresolved: self.unknown || self.open.is_some(),
            ended: self.ended,
        })
    }

    fn take_lease(&mut self, who: usize, over: Option<i64>) -> Event {
        let over = over.and_then(|counter| u8::try_from(counter).ok());
        if let Some(held) = self.lease.filter(|held| Some(*held) != over) {
            return Event::LeaseHeld {
                counter: i64::from(held),
            };
        }
        if let Some(over) = self.lease {
            self.taken_over = true;
            for one in &mut self.instances {
                if one.holding == Some(over) && one.effect == Some(Effect::KeepAnswer) {
                    one.late = true;
                    self.lost |= one.answer == Some(self.valid);
                }
            }
        }
        let holding = self.unused_holding();
        self.lease = Some(holding);
        let one = &mut self.instances[who];
        one.holding = Some(holding);
        one.age = 0;
        Event::LeaseTaken
    }

    fn holds(&self, who: usize) -> bool {
        let holding = self.instances[who].holding;
        holding.is_some() && holding == self.lease
    }

    fn let_go(&mut self, who: usize) {
        if self.holds(who) {
            self.lease = None;
        }
        self.instances[who].holding = None;
        self.instances[who].age = 0;
    }

    fn write_intent(&mut self, rules: &Rules, who: usize) -> Event {
        let same = self.instances[who].held == self.token && self.ended.is_none();
        let answered = rules.intent_looks && self.candidate.is_some();
        if !self.holds(who) || !same || answered {
            self.let_go(who);
            return Event::IntentMoved;
        }
        self.unknown |= self.open.is_some();
        self.open = self.instances[who].holding;
        Event::IntentWritten
    }

    fn ask_provider(&mut self, who: usize) -> Option<Event> {
        let one = &self.instances[who];
        let Some(holding) = one.holding.filter(|_| one.age <= SEND_BY) else {
            return Some(Event::TooLate);
        };
        // Nobody else may be about the same: not on the way, and not with an
        // answer that it has yet to store and still may.
        self.overlapped |= !self.calls.is_empty()
            || self.instances.iter().any(|other| {
                other.effect == Some(Effect::KeepAnswer)
                    && !other.late
                    && other.holding != Some(holding)
            });
        self.calls.push(Call {
            holding,
            token: one.held,
            age: 0,
            answer: None,
        });
        self.instances[who].calling = true;
        None
    }

    fn keep_answer(&mut self, rules: &Rules, who: usize) -> Event {
        let one = &self.instances[who];
        if !rules.stores {
            return Event::Kept;
        }
        let (held, late, of) = (one.held, one.late, one.holding.unwrap_or_default());
        if held == self.token {
            // What is stored before anybody wrote down to ask again is not lost.
            let asked_again = late && (self.dead || self.open.is_some_and(|open| open != of));
            self.lost &= !(late && !asked_again && self.token + 1 == self.valid);
            self.candidate = Some(Candidate {
                of,
                late: asked_again,
            });
        }
        let one = &mut self.instances[who];
        one.answer = None;
        one.late = false;
        Event::Kept
    }

    fn choose(&mut self, rules: &Rules, who: usize) -> Event {
        let own = self.instances[who].answer.take();
        let unstored = own.is_some_and(|own| own == self.token + 1);
        let Some(of) = self
            .candidate
            .take()
            .map(|stored| stored.of)
            .or_else(|| self.instances[who].holding.filter(|_| unstored))
        else {
            return Event::NotChosen;
        };
        let freed = if rules.frees_its_own {
            Some(of)
        } else {
            self.open
        };
        self.token += 1;
        self.ended = None;
        if self.instances[who].holding.is_some() {
            self.let_go(who);
        } else if self.lease == freed {
            self.lease = None;
        }
        self.open = None;
        self.unknown = false;
        let about_to_ask = |one: &Instance| one.effect == Some(Effect::AskProvider);
        if !self.dead && self.calls.is_empty() && !self.instances.iter().any(about_to_ask) {
            self.lost &= self.token != self.valid;
        }
        Event::Chosen
    }

    fn settle(&mut self, who: usize, settlement: &Settlement) -> Event {
        let one = &self.instances[who];
        if self.open == one.holding {
            self.open = None;
            self.unknown |= *settlement == Settlement::Unknown;
        }
        let moved = one.held != self.token || self.ended.is_some() || self.candidate.is_some();
        self.let_go(who);
        if moved {
            return Event::Moved;
        }
        if let Settlement::Ended(reason) = settlement {
            self.ended = Some(*reason);
        }
        Event::Settled
    }

    fn unused_holding(&self) -> Holding {
        let used = |holding: Holding| {
            let some = Some(holding);
            let waiting = Effect::AwaitLease {
                counter: i64::from(holding),
            };
            let taking = Effect::TakeLease {
                over: Some(i64::from(holding)),
            };
            self.lease == some
                || self.open == some
                || self.candidate.as_ref().map(|stored| stored.of) == some
                || self.calls.iter().any(|call| call.holding == holding)
                || self.instances.iter().any(|one| {
                    one.holding == some
                        || one.effect.as_ref() == Some(&waiting)
                        || one.effect.as_ref() == Some(&taking)
                })
        };
        (0..Holding::MAX)
            .find(|holding| !used(*holding))
            .unwrap_or(Holding::MAX)
    }
}
