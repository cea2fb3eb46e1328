//! How links come up.

use formic_core::{
    Random,
    transport::{Address, Class, ConnectError, Direction, Event, LinkId},
};

use crate::{Failure, Fixture, Probe, Side};

/// Rounds in which both ends dial at once.
const ROUNDS: u64 = 50;

fn refused(found: &Result<LinkId, ConnectError>, expected: &ConnectError) -> Result<(), Failure> {
    Failure::unless(found.as_ref().err() == Some(expected), || {
        format!("dialling gives {found:?} instead of {expected:?}")
    })
}

/// K5, as far as both ends can tell: each names the life of the other, and one of them dialled.
pub(super) async fn both_ends_know_whom_they_met(fixture: &dyn Fixture) -> Result<(), Failure> {
    let ([a, b], _) = Side::pair(fixture).await?;
    let met = |side: &Side| match side.log.first() {
        Some(Event::Up { peer, direction, .. }) => Some((*peer, *direction)),
        _ => None,
    };
    let expected = (Some((b.life(), Direction::Dialed)), Some((a.life(), Direction::Accepted)));
    let found = (met(&a), met(&b));
    Failure::unless(found == expected, || format!("{found:?} instead of {expected:?}"))
}

pub(super) async fn connect_is_idempotent(fixture: &dyn Fixture) -> Result<(), Failure> {
    let ([mut a, mut b], [first, _]) = Side::pair(fixture).await?;
    let second = a.dial(b.life().peer, &b).await;
    Failure::unless(second == Ok(first), || format!("{second:?} instead of {first:?}"))?;
    a.settle().await?;
    b.settle().await?;
    let links = (a.log.len(), b.log.len());
    Failure::unless(links == (1, 1), || format!("{links:?} events for one link"))
}

pub(super) async fn concurrent_connects_share_one_link(
    fixture: &dyn Fixture,
) -> Result<(), Failure> {
    let (mut a, b) = (Side::of(fixture, 1, 1).await, Side::of(fixture, 2, 1).await);
    let peer = b.life().peer;
    let links = tokio::join!(a.dial(peer, &b), a.dial(peer, &b), a.dial(peer, &b));
    let same = links.0.is_ok() && links.0 == links.1 && links.1 == links.2;
    Failure::unless(same, || format!("{links:?}"))?;
    a.settle().await?;
    Failure::unless(a.log.len() == 1, || format!("{:?}", a.log))
}

pub(super) async fn a_dropped_connect_does_not_stop_the_dial(
    fixture: &dyn Fixture,
) -> Result<(), Failure> {
    let (mut a, b) = (Side::of(fixture, 1, 1).await, Side::of(fixture, 2, 1).await);
    {
        let mut dial = core::pin::pin!(a.dial(b.life().peer, &b));
        core::future::poll_fn(|cx| {
            let early = dial.as_mut().poll(cx).map(drop);
            core::task::Poll::Ready(early.is_ready())
        })
        .await;
    }
    a.until_up(b.life()).await.map(drop)
}

pub(super) async fn another_peer_is_refused(fixture: &dyn Fixture) -> Result<(), Failure> {
    let (a, b) = (Side::of(fixture, 1, 1).await, Side::of(fixture, 2, 1).await);
    let (c, found) = (Side::of(fixture, 3, 1).await, b.life().peer);
    let expected = c.life().peer;
    refused(&a.dial(expected, &b).await, &ConnectError::WrongPeer { expected, found })
}

pub(super) async fn oneself_is_refused(fixture: &dyn Fixture) -> Result<(), Failure> {
    let a = Side::of(fixture, 1, 1).await;
    refused(&a.dial(a.life().peer, &a).await, &ConnectError::SelfDial)
}

pub(super) async fn no_address_is_refused(fixture: &dyn Fixture) -> Result<(), Failure> {
    let (a, b) = (Side::of(fixture, 1, 1).await, Side::of(fixture, 2, 1).await);
    let peer = b.life().peer;
    refused(&a.end().connect(peer, &[]).await, &ConnectError::NoAddress)?;
    let foreign = [Address::new("nosuchscheme", "somewhere")];
    refused(&a.end().connect(peer, &foreign).await, &ConnectError::NoAddress)
}

pub(super) async fn identify_names_the_peer_and_leaves_no_link(
    fixture: &dyn Fixture,
) -> Result<(), Failure> {
    let (mut a, mut b) = (Side::of(fixture, 1, 1).await, Side::of(fixture, 2, 1).await);
    for address in b.end().addresses() {
        let found = a.end().identify(&address).await;
        Failure::unless(found == Ok(b.life().peer), || format!("{address}: {found:?}"))?;
    }
    a.settle().await?;
    b.settle().await?;
    let quiet = a.log.is_empty() && b.log.is_empty();
    Failure::unless(quiet, || format!("{:?} {:?}", a.log, b.log))
}

/// The field's most reported fault: both ends must agree on one link, and what is sent at once arrives.
pub(super) async fn both_dial_at_once(fixture: &dyn Fixture) -> Result<(), Failure> {
    let (mut a, mut b) = (Side::of(fixture, 1, 1).await, Side::of(fixture, 2, 1).await);
    let (of_a, of_b) = (a.life().peer, b.life().peer);
    let mut random = Random::new(1);
    for round in 0..ROUNDS {
        let waits = [random.below(40), random.below(40)];
        let after = async |yields: u64| {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
        };
        let left = async {
            after(waits[0]).await;
            a.dial(of_b, &b).await
        };
        let right = async {
            after(waits[1]).await;
            b.dial(of_a, &a).await
        };
        let (at_a, at_b) = match tokio::join!(left, right) {
            (Ok(left), Ok(right)) => (left, right),
            refused => return Err(Failure::Case { what: format!("round {round}: {refused:?}") }),
        };
        a.send(at_a, Class::Data, 8).await?;
        b.send(at_b, Class::Data, 8).await?;
        let message = |of: LinkId| {
            move |event: &Event<Probe>| match event {
                Event::Message { link, .. } if *link == of => Some(()),
                _ => None,
            }
        };
        a.until("what was sent at once", message(at_a)).await?;
        b.until("what was sent at once", message(at_b)).await?;
        a.end().close(at_a, formic_core::transport::CloseReason::Closed).await;
        a.until_down(at_a).await?;
        b.until_down(at_b).await?;
    }
    let ups = |side: &Side| side.log.iter().filter(|it| matches!(it, Event::Up { .. })).count();
    let ups = (ups(&a) as u64, ups(&b) as u64);
    Failure::unless(ups == (ROUNDS, ROUNDS), || format!("{ups:?} links in {ROUNDS} rounds"))
}
