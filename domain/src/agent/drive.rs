//! Moving runs on: woken by what changes, swept now and then, leased so that
//! one run is in one pair of hands.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::carry::{Carrier, LEASE_MS, Stop};
use super::runs::{self, Answer, RunState};
use crate::storage::{Error, Signal};
use crate::{Engine, ids};

/// How often runs are looked for that no signal woke, in milliseconds.
const SWEEP_MS: i64 = 15_000;
/// How long a run waits for the person before it gives up, in milliseconds.
const PATIENCE_MS: i64 = 7 * 24 * 3600 * 1000;
/// How many runs are carried out at once.
const AT_ONCE: usize = 32;

/// Which runs are in hand here, and whether one was woken meanwhile.
type InHand = Arc<Mutex<HashMap<String, bool>>>;

/// What carrying one run takes.
#[derive(Clone)]
struct Hands {
    engine: Engine,
    holder: Arc<str>,
    in_hand: InHand,
    places: Arc<Semaphore>,
}

struct Driver {
    hands: Hands,
    /// Who is at work. They stop when this is dropped.
    tasks: JoinSet<()>,
}

/// Carries out runs until `shutdown` resolves, then ends what it began. One per
/// process; instances on one database share the work by leases.
pub async fn drive(engine: &Engine, shutdown: impl Future<Output = ()> + Send) {
    // The holder is new with every start: whoever went on under the old name
    // (nobody should) finds its leases gone and stops at the next step.
    let instance = &engine.settings.instance;
    let holder = ids::id(&format!("{instance}/"), engine.now(), &*engine.rng);
    let mut driver = Driver {
        hands: Hands {
            engine: engine.clone(),
            holder: holder.into(),
            in_hand: InHand::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        },
        tasks: JoinSet::new(),
    };
    driver.follow(shutdown).await;
    while driver.tasks.join_next().await.is_some() {}
}
impl Driver {
    async fn follow(&mut self, shutdown: impl Future<Output = ()> + Send) {
        let engine = self.hands.engine.clone();
        let mut signals = engine.store.signals();
        if let Err(error) = self.hands.forget_old_leases().await {
            tracing::warn!(%error, "leases of an earlier start remain until they run out");
        }
        // After a start anything may have changed, so everything is looked at.
        self.sweep(true).await;
        tokio::pin!(shutdown);
        loop {
            let next = engine
                .clock
                .sleep_until(engine.clock.monotonic() + SWEEP_MS);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = &mut shutdown => return,
                    () = &mut next => break self.sweep(false).await,
                    Some(_) = self.tasks.join_next() => {}
                    signal = signals.recv() => match signal {
                        Ok(signal) => self.hear(&signal).await,
                        // Too many to hear them all: look at everything.
                        Err(RecvError::Lagged(_)) => self.sweep(true).await,
                        Err(RecvError::Closed) => return,
                    },
                }
            }
        }
    }

    async fn hear(&mut self, signal: &Signal) {
        if let Err(error) = self.heard(signal).await {
            tracing::warn!(%error, "runs could not be woken; the next sweep looks again");
        }
    }

    async fn heard(&mut self, signal: &Signal) -> Result<(), Error> {
        let engine = self.hands.engine.clone();
        let reader = async || engine.store.reader().await;
        match (signal.topic.as_str(), &signal.person) {
            // Not "run": that is said of every step, and a driver that hears its
            // own steps goes round for ever.
            (runs::STARTED, _) => self.wake(signal.id.clone()),
            (topic @ ("approval" | "account" | "permission"), Some(person)) => {
                let ids = reader()
                    .await?
                    .runs_to_wake(person, topic == "approval")
                    .await?;
                ids.into_iter().for_each(|id| self.wake(id));
            }
            _ => {}
        }
        Ok(())
    }

    async fn sweep(&mut self, everything: bool) {
        if let Err(error) = self.swept(everything).await {
            tracing::warn!(%error, "runs could not be looked for; the next sweep looks again");
        }
    }

    async fn swept(&mut self, everything: bool) -> Result<(), Error> {
        let engine = self.hands.engine.clone();
        let before = engine.now().saturating_sub(PATIENCE_MS);
        let (idle, forgotten) = {
            let mut reader = engine.store.reader().await?;
            let idle = reader.idle_runs(everything).await?;
            (idle, reader.forgotten_runs(before).await?)
        };
        for id in forgotten {
            let answer = Answer::text("This waited for you for a week. Nothing was done.");
            self.hands.end(&id, None, RunState::Expired, answer).await?;
        }
        idle.into_iter().for_each(|id| self.wake(id));
        Ok(())
    }

    /// Takes a run in hand, unless it is; then it is looked at once more.
    fn wake(&mut self, id: String) {
        {
            let mut in_hand = self
                .hands
                .in_hand
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(again) = in_hand.get_mut(&id) {
                *again = true;
                return;
            }
            in_hand.insert(id.clone(), false);
        }
        let hands = self.hands.clone();
        self.tasks.spawn(async move {
            // Closed never: the semaphore lives as long as the driver.
            let _place = hands.places.acquire().await;
            loop {
                if let Err(error) = hands.carry(&id).await {
                    tracing::warn!(%error, run = id, "a run could not be carried on; the next sweep tries again");
                }
                let mut in_hand = hands.in_hand.lock().unwrap_or_else(PoisonError::into_inner);
                match in_hand.get_mut(&id) {
                    Some(again) if *again => *again = false,
                    _ => {
                        in_hand.remove(&id);
                        return;
                    }
                }
            }
        });
    }
}

impl Hands {
    /// Leases of an earlier start: nobody is behind them. Only this process
    /// opens a file; on a shared database other instances are at work.
    async fn forget_old_leases(&self) -> Result<(), Error> {
        let shared = self.engine.store.is_shared();
        let instance = shared.then(|| self.engine.settings.instance.clone());
        self.engine
            .store
            .write(move |tx| {
                let instance = instance.clone();
                Box::pin(async move { tx.forget_leases(instance.as_deref()).await })
            })
            .await
    }

    async fn carry(&self, id: &str) -> Result<(), Error> {
        let holder = self.holder.to_string();
        let (run_id, me) = (id.to_owned(), holder.clone());
        let leased = self
            .engine
            .store
            .write(move |tx| {
                let (id, me) = (run_id.clone(), me.clone());
                Box::pin(async move {
                    let until = tx.now() + LEASE_MS;
                    if !tx.lease_run(&id, &me, until).await? {
                        return Ok::<_, Error>(None);
                    }
                    tx.run(&id).await
                })
            })
            .await?;
        let Some(run) = leased else {
            return Ok(());
        };
        let stop = Carrier::new(&self.engine, &run, &holder).carry().await;
        match stop {
            Stop::Wait(waiting) => {
                self.engine
                    .store
                    .write(move |tx| {
                        let (run, me, waiting) = (run.clone(), holder.clone(), waiting.clone());
                        Box::pin(async move { tx.park_run(&run, &me, &waiting).await })
                    })
                    .await
            }
            Stop::End(state, answer) => self.end(id, Some(holder), state, answer).await,
            Stop::Lost => Ok(()),
            Stop::Trouble(error) => {
                tracing::warn!(error, run = id, "a run stumbled");
                let id = id.to_owned();
                self.engine
                    .store
                    .write(move |tx| {
                        let (id, me) = (id.clone(), holder.clone());
                        Box::pin(async move { tx.release_run(&id, &me).await })
                    })
                    .await
            }
        }
    }

    async fn end(
        &self,
        id: &str,
        holder: Option<String>,
        state: RunState,
        answer: Answer,
    ) -> Result<(), Error> {
        let (id, answer) = (id.to_owned(), Arc::new(answer));
        self.engine
            .store
            .write(move |tx| {
                let (id, holder, answer) = (id.clone(), holder.clone(), answer.clone());
                Box::pin(async move {
                    tx.end_run(&id, holder.as_deref(), state, &answer).await?;
                    Ok(())
                })
            })
            .await
    }
}
