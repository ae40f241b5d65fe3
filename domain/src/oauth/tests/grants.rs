//! The grants against models of them: whatever happens in whatever order, no
//! end is ever left, and nothing is redeemed twice. Refresh tokens have
//! `rotation`.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::approval::{self, Channel, Decide, Decision};
use crate::identity::{self, Person};
use crate::oauth::{ClientState, access, backchannel, clients, device};
use crate::testing::{START, VERIFIER};

/// What can happen to a request, whatever its grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// Its client presents the credential.
    Redeem,
    /// Another client does.
    Steal,
    /// Its client does, with something wrong besides (the verifier of a code).
    Bungle,
    /// The person says yes.
    Allow,
    /// The person says no.
    Deny,
    /// The client takes its request back.
    Cancel,
    /// So many seconds pass.
    Wait(u64),
    /// The person is locked, or no longer.
    Lock(bool),
    /// The client is frozen, or no longer.
    Freeze(bool),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        3 => Just(Move::Redeem),
        1 => Just(Move::Steal),
        1 => Just(Move::Bungle),
        4 => Just(Move::Allow),
        2 => Just(Move::Deny),
        2 => Just(Move::Cancel),
        5 => prop::sample::select(vec![1, 59, 60, 299, 300, 600]).prop_map(Move::Wait),
        1 => any::<bool>().prop_map(Move::Lock),
        1 => any::<bool>().prop_map(Move::Freeze),
    ];
    prop::collection::vec(one, 1..16)
}

/// Where a request stands, in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Asked,
    /// Since then, Unix milliseconds.
    Allowed(i64),
    Denied,
    Cancelled,
    Expired,
    Used,
}

struct World {
    bench: Bench,
    ada: Person,
    client: Client,
    secret: Secret<String>,
    other: (Client, Secret<String>),
    locked: bool,
    frozen: bool,
    stands: Stands,
    /// What was redeemed.
    given: Vec<TokenAnswer>,
    /// The credential was presented again: what it gave is taken back.
    ended: bool,
}

impl World {
    async fn new(stands: Stands) -> Self {
        let bench = Bench::new().await;
        let ada = bench.person("ada@example.com").await;
        let (client, secret) = bench.client("Agent").await;
        let other = bench.client("Other").await;
        Self {
            bench,
            ada,
            client,
            secret,
            other,
            locked: false,
            frozen: false,
            stands,
            given: Vec::new(),
            ended: false,
        }
    }

    async fn present(
        &self,
        other: bool,
        pairs: &[(&str, &str)],
    ) -> Result<TokenAnswer, OauthError> {
        let (client, secret) = if other {
            (&self.other.0, &self.other.1)
        } else {
            (&self.client, &self.secret)
        };
        ask(&self.bench, client, secret, pairs).await
    }

    /// What is the same for every grant; answers whether the move was one of these.
    async fn common(&mut self, one: Move) -> bool {
        match one {
            Move::Wait(seconds) => self.bench.advance(Duration::from_secs(seconds)),
            Move::Lock(locked) => {
                let state = if locked {
                    identity::State::Locked
                } else {
                    identity::State::Active
                };
                identity::set_state(&self.bench, None, &self.ada.id, state)
                    .await
                    .unwrap();
                self.locked = locked;
            }
            Move::Freeze(frozen) => {
                let state = if frozen {
                    ClientState::Frozen
                } else {
                    ClientState::Active
                };
                clients::freeze(&self.bench, None, &self.client.id, state)
                    .await
                    .unwrap();
                self.frozen = frozen;
            }
            _ => return false,
        }
        true
    }

    /// Holds an answer against what the model expects, and what it gave is kept.
    fn judge(
        &mut self,
        answer: Result<TokenAnswer, OauthError>,
        expected: Result<(), &[Code]>,
    ) -> Result<(), TestCaseError> {
        match (answer, expected) {
            (Ok(answer), Ok(())) => {
                self.given.push(answer);
                self.stands = Stands::Used;
            }
            (Err(error), Err(codes)) => {
                prop_assert!(
                    codes.contains(&error.code),
                    "{} is none of {codes:?}",
                    error.code.word()
                );
            }
            (answer, expected) => prop_assert!(
                false,
                "{:?} in {:?}: expected {expected:?}",
                answer.map(|_| ()).map_err(|error| error.code),
                self.stands
            ),
        }
        Ok(())
    }

    /// In the end: at most one redemption, and it is good exactly if nothing
    /// happened since that ends it.
    async fn check(&self) -> Result<(), TestCaseError> {
        prop_assert!(self.given.len() <= 1);
        for given in &self.given {
            let token = given.access_token.expose();
            let good = access::read(&self.bench, token).await;
            let expired = good
                .as_ref()
                .is_err_and(|error| error.cause.as_deref() == Some("it has run out"));
            let expected = !self.ended && !self.locked && !self.frozen;
            prop_assert_eq!(good.is_ok(), expected && !expired);
        }
        Ok(())
    }
}

async fn play_code(moves: Vec<Move>) -> Result<(), TestCaseError> {
    let mut world = World::new(Stands::Allowed(START)).await;
    let code = world
        .bench
        .code(&world.client, &world.ada, "openid offline_access")
        .await;
    for one in moves {
        if world.common(one).await {
            continue;
        }
        let verifier = match one {
            Move::Redeem | Move::Steal => VERIFIER.to_owned(),
            Move::Bungle => VERIFIER.replace('d', "e"),
            _ => continue,
        };
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code.expose().as_str()),
            ("code_verifier", verifier.as_str()),
        ];
        let answer = world.present(one == Move::Steal, &pairs).await;
        let late = world.bench.now() >= START + 60_000;
        let expected: Result<(), &[Code]> = match world.stands {
            _ if one == Move::Steal => Err(&[Code::InvalidGrant]),
            _ if world.frozen => Err(&[Code::InvalidClient]),
            Stands::Used => {
                world.ended = true;
                Err(&[Code::InvalidGrant])
            }
            _ if late || one == Move::Bungle || world.locked => Err(&[Code::InvalidGrant]),
            _ => Ok(()),
        };
        world.judge(answer, expected)?;
    }
    world.check().await
}

async fn play_device(moves: Vec<Move>) -> Result<(), TestCaseError> {
    let mut world = World::new(Stands::Asked).await;
    let params = Params::new([
        ("client_id", world.client.id.as_str()),
        ("client_secret", world.secret.expose().as_str()),
        ("scope", "openid offline_access"),
    ])
    .unwrap();
    let asked = device::ask(&world.bench, &RequestHead::default(), &params)
        .await
        .map_err(|error| TestCaseError::fail(error.plain()))?;
    for one in moves {
        if world.common(one).await {
            continue;
        }
        let late = world.bench.now() >= START + 600_000;
        match one {
            Move::Allow | Move::Deny => {
                let allow = one == Move::Allow;
                let decided =
                    device::decide(&world.bench, &world.ada.id, START, &asked.user_code, allow)
                        .await;
                let may = world.stands == Stands::Asked && !late && !world.locked && !world.frozen;
                prop_assert_eq!(decided.is_ok(), may, "{:?} in {:?}", one, world.stands);
                if may && allow {
                    world.stands = Stands::Allowed(world.bench.now());
                } else if may {
                    world.stands = Stands::Denied;
                }
            }
            Move::Redeem | Move::Steal => {
                let pairs = [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
                    ("device_code", asked.device_code.expose().as_str()),
                ];
                let answer = world.present(one == Move::Steal, &pairs).await;
                let expected: Result<(), &[Code]> = match world.stands {
                    _ if one == Move::Steal => Err(&[Code::InvalidGrant]),
                    _ if world.frozen => Err(&[Code::InvalidClient]),
                    Stands::Used => {
                        world.ended = true;
                        Err(&[Code::InvalidGrant])
                    }
                    Stands::Denied => Err(&[Code::AccessDenied]),
                    _ if late => Err(&[Code::ExpiredToken]),
                    Stands::Asked => Err(&[Code::AuthorizationPending, Code::SlowDown]),
                    _ if world.locked => Err(&[Code::InvalidGrant]),
                    _ => Ok(()),
                };
                world.judge(answer, expected)?;
            }
            _ => {}
        }
    }
    world.check().await
}

async fn play_approval(moves: Vec<Move>) -> Result<(), TestCaseError> {
    let mut world = World::new(Stands::Asked).await;
    // They have to do with each other.
    world
        .bench
        .tokens(&world.client, &world.ada, "openid")
        .await;
    let params = Params::new([
        ("client_id", world.client.id.as_str()),
        ("client_secret", world.secret.expose().as_str()),
        ("scope", "openid offline_access"),
        ("login_hint", world.ada.id.as_str()),
    ])
    .unwrap();
    let asked = backchannel::begin(&world.bench, &world.client, &params)
        .await
        .map_err(|error| TestCaseError::fail(error.plain()))?;
    let expires = START + asked.expires_in_s * 1000;
    for one in moves {
        let common = world.common(one).await;
        let now = world.bench.now();
        if world.stands == Stands::Asked && now >= expires {
            world.stands = Stands::Expired;
        }
        let (bench, id) = (&world.bench, &asked.approval_id);
        match one {
            _ if common => {}
            Move::Allow | Move::Deny => {
                let allow = one == Move::Allow;
                let decide = Decide {
                    approval_id: id.clone(),
                    person_id: world.ada.id.clone(),
                    decision: if allow {
                        Decision::Approve
                    } else {
                        Decision::Deny
                    },
                    channel: Channel::Browser,
                    address: None,
                    user_agent: None,
                    number: None,
                };
                let decided = approval::decide(bench, decide).await;
                prop_assert_eq!(decided.is_ok(), world.stands == Stands::Asked);
                if decided.is_ok() {
                    world.stands = if allow {
                        Stands::Allowed(now)
                    } else {
                        Stands::Denied
                    };
                }
            }
            Move::Cancel => {
                let cancelled = approval::cancel(bench, &world.client.id, id).await;
                prop_assert_eq!(cancelled.is_ok(), world.stands == Stands::Asked);
                if cancelled.is_ok() {
                    world.stands = Stands::Cancelled;
                }
            }
            // The upkeep may come by at any time.
            Move::Bungle => {
                approval::expire_due(bench).await.unwrap();
            }
            _ => {
                let pairs = [
                    ("grant_type", "urn:openid:params:grant-type:ciba"),
                    ("auth_req_id", asked.auth_req_id.expose().as_str()),
                ];
                let answer = world.present(one == Move::Steal, &pairs).await;
                let expected: Result<(), &[Code]> = match world.stands {
                    _ if one == Move::Steal => Err(&[Code::InvalidGrant]),
                    _ if world.frozen => Err(&[Code::InvalidClient]),
                    Stands::Used => Err(&[Code::InvalidGrant]),
                    Stands::Denied | Stands::Cancelled => Err(&[Code::AccessDenied]),
                    Stands::Expired => Err(&[Code::ExpiredToken]),
                    Stands::Asked => Err(&[Code::AuthorizationPending, Code::SlowDown]),
                    Stands::Allowed(_) if world.locked => Err(&[Code::AccessDenied]),
                    // A minute is left for what was decided in the last moment.
                    Stands::Allowed(at) if now > expires.max(at + 60_000) => {
                        Err(&[Code::ExpiredToken])
                    }
                    Stands::Allowed(_) => Ok(()),
                };
                world.judge(answer, expected)?;
            }
        }
    }
    let made = approval::decisions(&world.bench, &asked.approval_id)
        .await
        .unwrap();
    prop_assert!(made.len() <= 1, "decided once at most");
    world.check().await
}

fn run(story: impl Future<Output = Result<(), TestCaseError>>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(story)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_code_does_what_its_model_says(moves in moves()) {
        run(play_code(moves))?;
    }

    #[test]
    fn a_device_request_does_what_its_model_says(moves in moves()) {
        run(play_device(moves))?;
    }

    #[test]
    fn an_approval_does_what_its_model_says(moves in moves()) {
        run(play_approval(moves))?;
    }
}
