//! Peers that come back.

use formic_core::{
    Incarnation,
    transport::{Class, CloseReason, Event, RenewError},
};

use crate::{Failure, Fixture, Probe, Side};

/// K4.
pub(super) async fn a_successor_replaces_its_older_life(
    fixture: &dyn Fixture,
) -> Result<(), Failure> {
    let ([mut a, old], [at_a, _]) = Side::pair(fixture).await?;
    let mut new = Side::of(fixture, 2, 2).await;
    let dialed = new.dial(a.life().peer, &a).await;
    Failure::unless(dialed.is_ok(), || format!("the successor is refused: {dialed:?}"))?;
    new.until_up(a.life()).await?;
    a.until_up(new.life()).await?;
    let ends = a.log.iter().filter_map(|event| match event {
        Event::Down { link, reason } => Some((*link, *reason)),
        _ => None,
    });
    let ends: Vec<_> = ends.collect();
    drop(old);
    Failure::unless(ends == [(at_a, CloseReason::PeerRestarted)], || format!("{ends:?}"))
}

pub(super) async fn an_older_life_is_refused(fixture: &dyn Fixture) -> Result<(), Failure> {
    // Made before its successor: some transports make no older life afterwards.
    let old = Side::of(fixture, 2, 1).await;
    let mut new = Side::of(fixture, 2, 2).await;
    let mut a = Side::of(fixture, 1, 1).await;
    new.link(&mut a).await?;
    let dialed = old.dial(a.life().peer, &a).await;
    Failure::unless(dialed.is_err(), || format!("a life that is over is linked: {dialed:?}"))?;
    a.settle().await?;
    let ups = a.log.iter().filter(|event| matches!(event, Event::Up { .. })).count();
    Failure::unless(ups == 1, || format!("{ups} links of one peer"))
}

pub(super) async fn renew_ends_all_links_and_begins_a_life(
    fixture: &dyn Fixture,
) -> Result<(), Failure> {
    let ([mut a, mut b], [at_a, at_b]) = Side::pair(fixture).await?;
    let current = Incarnation(1);
    let refused = a.end().renew(current).await;
    let not_newer = Err(RenewError::NotNewer { refused: current, current });
    Failure::unless(refused == not_newer, || format!("{refused:?}"))?;
    let renewed = a.end().renew(Incarnation(2)).await;
    Failure::unless(renewed.is_ok() && a.life().incarnation == Incarnation(2), || {
        format!("{renewed:?}, it is {}", a.life())
    })?;
    let (here, there) = (a.until_down(at_a).await?, b.until_down(at_b).await?);
    let right = (here, there) == (CloseReason::Closed, CloseReason::PeerRestarted);
    Failure::unless(right, || format!("{here:?} here, {there:?} there"))?;
    let [at_a, at_b] = a.link_again(&mut b).await?;
    a.send(at_a, Class::Data, 8).await?;
    b.until_received(at_b, Class::Data, 1).await?;
    let first = |event: &Event<Probe>| match event {
        Event::Up { peer, .. } if peer.incarnation == Incarnation(2) => Some(()),
        _ => None,
    };
    b.until("the next life", first).await
}
