//! Polls for approvals that nobody has decided, with few pending and with many.
//!
//! A hundred pending ones cannot be polled fast enough to be measured without their client hearing
//! `slow_down`. So the two sizes are compared by that answer, which is judged by the same look-up,
//! and the answer that a patient client hears is measured where there are many.

use std::sync::Arc;

use super::pending::{Poller, Ring, make};
use super::{Contestant, interleave, of, say};
use crate::load::until_done;
use crate::meter::Result;
use crate::program::Program;
use crate::report::{Figure, Series};
use crate::setting::Setting;
use crate::{attorn, others};

/// How many are pending where few are.
const FEW: usize = 100;
/// How many of the many are polled hastily.
const HASTY: usize = 2_000;
/// How often a client has to be hasty until it is to wait for a minute.
const OFTEN: usize = 13;

fn contestant(
    setting: &Setting,
    name: &str,
    program: &Arc<Program>,
    ring: &Arc<Ring>,
) -> Contestant<Poller> {
    let callers = (0..setting.connections).map(|_| Poller::new(program, ring));
    Contestant::new(program.clone(), callers.collect()).named(name)
}

/// Polls all in the ring until each hears `slow_down` for a minute to come.
async fn annoy(program: &Arc<Program>, ring: &Arc<Ring>) -> Result<()> {
    let times = ring.len() * OFTEN;
    let poller = Poller::so_often(program, ring, times);
    until_done(program, vec![poller]).await.map(drop)
}

pub async fn run(setting: &Setting) -> Result<(Vec<Figure>, Vec<Series>)> {
    let connections = setting.connections;
    let control = Arc::new(others::control(setting)?);
    let peer = Arc::new(others::peer(setting, 0)?);
    let few = Arc::new(attorn::on_sqlite(setting, "Attorn, few", 1).await?);
    let many = Arc::new(attorn::on_sqlite(setting, "Attorn, many", 1).await?);
    let (count, hasty) = (setting.many, HASTY.min(setting.many / 10));
    say(format!("making {count} pending approvals"));
    let ids = make(&many, count, connections).await?;
    let (hasty_ids, patient_ids) = ids.split_at(hasty);
    let few_ids = make(&few, FEW, connections).await?;
    let peer_ids = make(&peer, FEW, connections).await?;
    let control_ids = patient_ids.get(..FEW).unwrap_or_default();

    let few_ring = Ring::hasty(&few, &few_ids);
    let many_ring = Ring::hasty(&many, hasty_ids);
    annoy(&few, &few_ring).await?;
    annoy(&many, &many_ring).await?;
    let (few_name, hasty_name) = (
        "Attorn, 10² pending, hasty".to_owned(),
        format!("Attorn, {count} pending, hasty"),
    );
    let many_name = format!("Attorn, {count} pending");
    let all = vec![
        contestant(
            setting,
            "control",
            &control,
            &Ring::unminded(&control, control_ids),
        ),
        contestant(setting, "peer", &peer, &Ring::unminded(&peer, &peer_ids)),
        contestant(
            setting,
            &many_name,
            &many,
            &Ring::patient(&many, patient_ids),
        ),
        contestant(setting, &few_name, &few, &few_ring),
        contestant(setting, &hasty_name, &many, &many_ring),
    ];
    let series = interleave("poll", setting, all).await?;
    let many = of(&series, &many_name)?;
    let figures = vec![
        Figure::ratio(
            &format!("poll with {count} pending over the control"),
            many,
            of(&series, "control")?,
            Some(2.0),
        ),
        Figure::ratio(
            &format!("poll with {count} pending over the peer with 10²"),
            many,
            of(&series, "peer")?,
            None,
        ),
        Figure::ratio(
            &format!("poll with {count} pending over the same with 10²"),
            of(&series, &hasty_name)?,
            of(&series, &few_name)?,
            Some(1.2),
        ),
    ];
    Ok((figures, series))
}
