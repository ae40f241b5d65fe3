//! Tasks that run beside requests: the audit sequencer, the embedded agent,
//! telling clients of decisions and people's browsers of requests,
//! refreshing grants ahead of their end,
//! what falls due (expired approvals, lost calls, queued revocations, old rows).

use std::future::Future;

use domain::{Engine, adoption, agent, approval, audit, identity, oauth, rotation, vault};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often what falls due is looked at, milliseconds.
const EVERY: i64 = 1_000;
/// How often old rows are swept, milliseconds.
const SWEEP_EVERY: i64 = 60_000;

/// Starts all of them. They end soon after `stop` is cancelled.
pub fn start(engine: &Engine, tasks: &TaskTracker, stop: &CancellationToken) {
    let (sequencer, token) = (engine.clone(), stop.clone());
    tasks.spawn(async move { audit::sequencer::run(&sequencer, token.cancelled_owned()).await });
    let (driver, token) = (engine.clone(), stop.clone());
    tasks.spawn(async move {
        if once_adopted(&driver, &token).await {
            agent::drive(&driver, token.cancelled_owned()).await;
        }
    });
    let (teller, token) = (engine.clone(), stop.clone());
    tasks.spawn(async move {
        if once_adopted(&teller, &token).await {
            oauth::notify::drive(&teller, token.cancelled_owned()).await;
        }
    });
    let (notices, token) = (engine.clone(), stop.clone());
    tasks.spawn(async move {
        if once_adopted(&notices, &token).await {
            approval::push::notices::drive(&notices, token.cancelled_owned()).await;
        }
    });
    let (channels, token) = (engine.clone(), stop.clone());
    tasks.spawn(async move {
        if once_adopted(&channels, &token).await {
            approval::channels::deliver::drive(&channels, token.cancelled_owned()).await;
        }
    });
    tasks.spawn(repeat(
        engine.clone(),
        stop.clone(),
        EVERY,
        |engine| async move {
            tell("looking for the adoption", adoption::look(&engine).await);
            tell(
                "expiring approvals",
                approval::expire_due(&engine).await.map(|_| ()),
            );
            tell(
                "settling lost calls",
                approval::settle_lost_calls(&engine).await.map(|_| ()),
            );
            tell(
                "revoking at providers",
                vault::revocations::run_due(&engine, 20).await.map(|_| ()),
            );
        },
    ));
    tasks.spawn(repeat(
        engine.clone(),
        stop.clone(),
        EVERY,
        |engine| async move {
            tell(
                "bringing answers from the disk into the database",
                vault::journal::replay(&engine).await.map(|_| ()),
            );
        },
    ));
    // By itself: a slow provider keeps nothing else waiting.
    tasks.spawn(repeat(
        engine.clone(),
        stop.clone(),
        EVERY,
        |engine| async move {
            tell(
                "refreshing ahead",
                vault::ahead::run_due(&engine, 50).await.map(|_| ()),
            );
        },
    ));
    tasks.spawn(repeat(
        engine.clone(),
        stop.clone(),
        SWEEP_EVERY,
        |engine| async move {
            tell(
                "sweeping sessions",
                identity::sessions::sweep(&engine).await.map(|_| ()),
            );
            tell(
                "sweeping challenges of passkeys",
                identity::passkeys::sweep(&engine).await.map(|_| ()),
            );
            tell(
                "sweeping notices",
                approval::push::notices::sweep(&engine).await.map(|_| ()),
            );
            tell(
                "sweeping deliveries",
                approval::channels::deliver::sweep(&engine)
                    .await
                    .map(|_| ()),
            );
            tell("sweeping codes", oauth::sweep(&engine).await.map(|_| ()));
            tell("turning keys", oauth::signing_keys::upkeep(&engine).await);
            tell("wrapping keys anew", rotation::upkeep(&engine).await);
            tell(
                "sweeping tickets",
                vault::connect::sweep(&engine).await.map(|_| ()),
            );
            tell(
                "sweeping link attempts",
                vault::link::sweep(&engine).await.map(|_| ()),
            );
        },
    ));
}

/// What runs by itself waits on a copy: the original does it too. Answers
/// false when it is time to stop.
async fn once_adopted(engine: &Engine, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = engine.adoption.adopted() => true,
        () = stop.cancelled() => false,
    }
}

async fn repeat<F, W>(engine: Engine, stop: CancellationToken, every: i64, work: W)
where
    W: Fn(Engine) -> F + Send,
    F: Future<Output = ()> + Send,
{
    loop {
        work(engine.clone()).await;
        let next = engine.clock.sleep_until(engine.clock.monotonic() + every);
        tokio::select! {
            () = next => {}
            () = stop.cancelled() => return,
        }
    }
}

fn tell<E: std::fmt::Display>(what: &str, outcome: Result<(), E>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "{what} failed; it is tried again");
    }
}
