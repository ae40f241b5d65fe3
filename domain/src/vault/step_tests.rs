//! The protocol alone; for what it makes of a world see `step_model`.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_state_that_is_over_stays_over(events in proptest::collection::vec(0..19_usize, 1..40)) {
        let mut state = State::start();
        let mut over = false;
        for event in events {
            let (next, effect) = step(&state, any_event(event));
            if over {
                prop_assert!(matches!(effect, Effect::Finish(_)));
            }
            over = over || matches!(effect, Effect::Finish(_));
            state = next;
        }
    }
}

fn any_event(number: usize) -> Event {
    let view = |stale, candidate, can_refresh| {
        Event::Seen(View {
            gone: false,
            stale,
            can_refresh,
            candidate,
            unresolved: false,
            ended: None,
        })
    };
    match number {
        0 => Event::Begin,
        1 => view(true, false, true),
        2 => view(false, false, true),
        3 => view(true, true, true),
        4 => view(true, false, false),
        5 => Event::LeaseTaken,
        6 => Event::LeaseHeld { counter: 1 },
        7 => Event::LeaseFreed,
        8 => Event::LeaseOverdue,
        9 => Event::IntentWritten,
        10 => Event::IntentMoved,
        11 => Event::Answered,
        12 => Event::Refused(Refusal::Grant),
        13 => Event::Unanswered {
            retry_after_s: None,
        },
        14 => Event::TooLate,
        15 => Event::Kept,
        16 => Event::Moved,
        17 => Event::Chosen,
        _ => Event::Settled,
    }
}

#[test]
fn an_answer_is_stored_before_it_is_chosen_and_chosen_before_it_is_used() {
    let mut state = State::start();
    let stale = View {
        gone: false,
        stale: true,
        can_refresh: true,
        candidate: false,
        unresolved: false,
        ended: None,
    };
    let mut effects = Vec::new();
    for event in [
        Event::Begin,
        Event::Seen(stale),
        Event::LeaseTaken,
        Event::Seen(stale),
        Event::IntentWritten,
        Event::Answered,
        Event::Kept,
        Event::Chosen,
        Event::Seen(View {
            stale: false,
            ..stale
        }),
    ] {
        let (next, effect) = step(&state, event);
        state = next;
        effects.push(effect);
    }
    assert_eq!(
        effects,
        [
            Effect::Look,
            Effect::TakeLease { over: None },
            Effect::Look,
            Effect::WriteIntent,
            Effect::AskProvider,
            Effect::KeepAnswer,
            Effect::Choose,
            Effect::Look,
            Effect::Finish(Outcome::Fresh),
        ]
    );
}
