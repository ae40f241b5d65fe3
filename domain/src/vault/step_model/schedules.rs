//! Long schedules at random: three instances, refresh after refresh, faults
//! whenever they like. After each, one instance left alone brings it to an end.

use proptest::prelude::*;

use super::world::{Move, Rotation, Rules, TAKEOVER, World};
use crate::vault::step::Outcome;

/// How many moves a schedule has.
const MOVES: usize = 250;

/// What the runs came to, so that nobody takes an empty proof for one.
#[derive(Default)]
struct Seen {
    refreshes: u64,
    taken_over: u64,
    lost: u64,
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides
    }
}

/// Runs one schedule and says what went wrong, if anything.
fn run(seed: u64, rules: &Rules, faults: u16, seen: &mut Seen) -> Result<(), &'static str> {
    let mut dice = Dice(seed);
    let mut world = World::new(3, faults);
    // How seldom something fails, and how seldom time passes: each schedule has its own.
    let (spared, hurried) = (dice.roll(40) + 1, dice.roll(8) + 1);
    let mut moves = Vec::new();
    for _ in 0..MOVES {
        moves.clear();
        world.moves(rules, &mut moves);
        if dice.roll(spared) > 0 {
            moves.retain(|one| !one.is_fault());
        }
        if dice.roll(hurried) > 0 && moves.iter().any(|one| *one != Move::Tick) {
            moves.retain(|one| *one != Move::Tick);
        }
        if moves.is_empty() {
            continue;
        }
        world.make(rules, moves[dice.roll(moves.len())]);
        if let Some(wrong) = world.wrong(rules) {
            return Err(wrong);
        }
        if world.is_given_up() {
            break;
        }
    }
    seen.refreshes += u64::from(world.token - 1);
    seen.taken_over += u64::from(world.taken_over);
    seen.lost += u64::from(world.lost);
    let coming = world.is_under_way();
    let lost = world.lost;
    match world.left_alone(rules) {
        Some(Outcome::Fresh) => Ok(()),
        Some(Outcome::Reconnect(_)) if (lost || coming) && rules.rotation != Rotation::Grace => {
            Ok(())
        }
        Some(_) => Err("left alone, the grant was lost"),
        None => Err("left alone, it never ends"),
    }
}

fn any(seed: u64, rotation: Rotation) -> Result<(), &'static str> {
    run(
        seed,
        &Rules::careful(rotation),
        u16::MAX,
        &mut Seen::default(),
    )
}

proptest! {
    // 120,000 schedules in all.
    #![proptest_config(ProptestConfig::with_cases(40_000))]

    #[test]
    fn no_schedule_loses_a_grant_but_with_an_answer_lost_in_flight(seed: u64) {
        prop_assert_eq!(any(seed, Rotation::Strict), Ok(()));
    }

    #[test]
    fn no_schedule_throws_an_answer_away_where_the_old_token_is_only_refused(seed: u64) {
        prop_assert_eq!(any(seed, Rotation::Plain), Ok(()));
    }

    #[test]
    fn no_schedule_loses_a_grant_where_the_last_token_is_answered_again(seed: u64) {
        prop_assert_eq!(any(seed, Rotation::Grace), Ok(()));
    }
}

#[test]
fn without_faults_every_schedule_ends_fresh() {
    for seed in 0..2_000 {
        let mut seen = Seen::default();
        let ran = run(seed, &Rules::careful(Rotation::Strict), 0, &mut seen);
        assert_eq!(ran, Ok(()), "schedule {seed}");
    }
}

/// A proof of schedules in which nothing happens would be none.
#[test]
fn the_schedules_refresh_and_take_over_and_lose_answers() {
    let mut seen = Seen::default();
    for seed in 0..2_000 {
        let ran = run(seed, &Rules::careful(Rotation::Plain), u16::MAX, &mut seen);
        assert_eq!(ran, Ok(()), "schedule {seed}");
    }
    assert!(seen.refreshes > 2_000, "{} refreshes", seen.refreshes);
    assert!(seen.taken_over > 200, "{} takeovers", seen.taken_over);
    assert!(seen.lost > 50, "{} answers lost", seen.lost);
}

/// A test that cannot fail is a defect: random schedules notice every
/// precaution that is missing, if one waits for long enough.
#[test]
fn random_schedules_notice_what_is_missing() {
    let careful = Rules::careful(Rotation::Strict);
    for (what, rules) in [
        (
            "a takeover that does not wait",
            Rules {
                takeover: 0,
                ..careful
            },
        ),
        (
            "a takeover one tick early",
            Rules {
                takeover: TAKEOVER - 1,
                ..careful
            },
        ),
        (
            "answers that are not stored",
            Rules {
                stores: false,
                ..careful
            },
        ),
        (
            "an intent that does not look",
            Rules {
                intent_looks: false,
                ..careful
            },
        ),
    ] {
        let noticed = (0..40_000).any(|seed| {
            let mut seen = Seen::default();
            run(seed, &rules, u16::MAX, &mut seen).is_err()
        });
        assert!(noticed, "{what} is not noticed");
    }
}
