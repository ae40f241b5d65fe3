//! Every schedule there is, within bounds: two instances through two refreshes
//! without any limit of depth, three to a stated one. A fault is a crash, a
//! lost request or a lost answer, and comes before and after every effect.

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::world::{
    FAMILY, GIVEN_UP, Move, OVERLAP, Rotation, Rules, TAKEOVER, THROWN_AWAY, World,
};
use crate::vault::step::Outcome;

#[derive(Clone)]
struct Protocol {
    rules: Rules,
    instances: usize,
    faults: u16,
    /// How many refreshes.
    refreshes: u16,
    /// Whether every state is also tried left alone.
    alone: bool,
}

const ENDS: &str = "left alone it comes to no good end";
const TAKEN_OVER: &str = "a lease is taken over";
const LOST: &str = "an answer is lost";
const FOLLOWED: &str = "every token is followed";

impl Model for Protocol {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.instances, self.faults)]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        world.moves(&self.rules, moves);
        if world.token > self.refreshes {
            moves.retain(|one| !matches!(one, Move::Begin(_)));
        }
    }

    fn next_state(&self, world: &World, what: Move) -> Option<World> {
        let mut world = world.clone();
        world.make(&self.rules, what);
        // What one came to is not what the next does.
        for one in &mut world.instances {
            one.outcome = None;
        }
        Some(world.sorted())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn never(model: &Protocol, world: &World, what: &str) -> bool {
            world.wrong(&model.rules) != Some(what)
        }
        vec![
            Property::always(OVERLAP, |model, world| never(model, world, OVERLAP)),
            Property::always(GIVEN_UP, |model, world| never(model, world, GIVEN_UP)),
            Property::always(FAMILY, |model, world| never(model, world, FAMILY)),
            Property::always(THROWN_AWAY, |model, world| never(model, world, THROWN_AWAY)),
            Property::always(ENDS, |model: &Self, world| {
                !model.alone || ends_well(&model.rules, world)
            }),
            Property::sometimes(TAKEN_OVER, |_, world: &World| world.taken_over),
            Property::sometimes(LOST, |_, world: &World| world.lost),
            Property::sometimes(FOLLOWED, |model: &Self, world: &World| {
                world.token > model.refreshes
            }),
        ]
    }
}

/// Everybody crashes, and one instance asks until there is a token.
fn ends_well(rules: &Rules, world: &World) -> bool {
    // The crash itself loses what was not stored.
    let excused = (world.lost || world.is_under_way()) && rules.rotation != Rotation::Grace;
    match world.clone().left_alone(rules) {
        Some(Outcome::Fresh) => true,
        Some(Outcome::Reconnect(_)) => excused,
        _ => false,
    }
}

fn careful(rotation: Rotation) -> Protocol {
    Protocol {
        rules: Rules::careful(rotation),
        instances: 2,
        faults: 2,
        refreshes: 1,
        alone: false,
    }
}

/// Tries everything to this depth, 0 for everything at all, and answers what
/// is wrong and how it comes about. What should be seen must have been.
fn found(model: Protocol, depth: usize) -> Option<(&'static str, Vec<Move>)> {
    let checker = model
        .checker()
        .threads(2)
        .target_max_depth(depth)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let mut seen = checker.discoveries();
    for wrong in [OVERLAP, GIVEN_UP, FAMILY, THROWN_AWAY, ENDS] {
        if let Some(path) = seen.remove(wrong) {
            return Some((wrong, path.into_actions()));
        }
    }
    for expected in [TAKEN_OVER, LOST, FOLLOWED] {
        assert!(
            seen.contains_key(expected),
            "it never happens that {expected}"
        );
    }
    // A bound that nothing reaches proves nothing.
    assert!(
        checker.unique_state_count() > 100_000,
        "{}",
        checker.unique_state_count()
    );
    assert!(
        depth == 0 || checker.max_depth() >= depth,
        "{}",
        checker.max_depth()
    );
    None
}

#[test]
fn two_instances_with_two_faults_lose_nothing() {
    for rotation in [Rotation::Strict, Rotation::Plain, Rotation::Grace] {
        assert_eq!(found(careful(rotation), 0), None, "{rotation:?}");
    }
}

#[test]
fn two_instances_lose_nothing_through_two_refreshes() {
    let model = Protocol {
        faults: 1,
        refreshes: 2,
        ..careful(Rotation::Strict)
    };
    assert_eq!(found(model, 0), None);
}

#[test]
fn one_instance_left_alone_brings_every_state_to_an_end() {
    for rotation in [Rotation::Strict, Rotation::Plain] {
        let model = Protocol {
            faults: 1,
            alone: true,
            ..careful(rotation)
        };
        assert_eq!(found(model, 0), None, "{rotation:?}");
    }
}

#[test]
fn three_instances_lose_nothing_in_thirty_moves() {
    let model = Protocol {
        instances: 3,
        faults: 1,
        refreshes: 2,
        ..careful(Rotation::Strict)
    };
    assert_eq!(found(model, 30), None);
}

/// As deep as a night allows: `cargo test -p domain --release --lib as_deep -- --ignored`.
#[test]
#[ignore = "takes minutes and gigabytes"]
fn as_deep_as_there_is_time() {
    for rotation in [Rotation::Strict, Rotation::Plain, Rotation::Grace] {
        let model = Protocol {
            faults: 3,
            refreshes: 2,
            alone: true,
            ..careful(rotation)
        };
        assert_eq!(found(model, 0), None, "{rotation:?}");
        let model = Protocol {
            instances: 3,
            refreshes: 2,
            ..careful(rotation)
        };
        assert_eq!(found(model, 36), None, "{rotation:?}");
    }
}

/// A test that cannot fail is a defect: every precaution is missed.
#[test]
fn the_checker_finds_what_each_precaution_is_for() {
    let strict = careful(Rotation::Strict);
    let without = |rules: Rules| {
        let model = Protocol {
            rules,
            ..strict.clone()
        };
        found(model, 0).map(|(wrong, _)| wrong)
    };
    let rules = strict.rules;
    // Two at a time, even one tick before a call is surely over.
    for takeover in 0..TAKEOVER {
        assert_eq!(
            without(Rules { takeover, ..rules }),
            Some(OVERLAP),
            "{takeover}"
        );
    }
    let stores = false;
    assert_eq!(without(Rules { stores, ..rules }), Some(THROWN_AWAY));
    let intent_looks = false;
    assert_eq!(
        without(Rules {
            intent_looks,
            ..rules
        }),
        Some(GIVEN_UP)
    );
    // Somebody finds a late answer while a second asks, and lets a third ask too.
    let model = Protocol {
        rules: Rules {
            frees_its_own: false,
            ..rules
        },
        instances: 3,
        faults: 0,
        refreshes: 2,
        ..strict.clone()
    };
    assert_eq!(found(model, 34).map(|(wrong, _)| wrong), Some(OVERLAP));
}
