//! How links end.

use core::{future::poll_fn, task::Poll, time::Duration};

use formic_core::transport::{Class, CloseReason, Event, LinkError};

use super::delivery::RELIABLE;
use crate::{Failure, Fixture, Probe, Side};

pub(super) async fn a_closed_link_is_unknown(fixture: &dyn Fixture) -> Result<(), Failure> {
    let ([mut a, mut b], [at_a, at_b]) = Side::pair(fixture).await?;
    a.end().close(at_a, CloseReason::Closed).await;
    a.until_down(at_a).await?;
    b.until_down(at_b).await?;
    for (side, link) in [(&a, at_a), (&b, at_b)] {
        let probe = Probe { number: 5, body: vec![] };
        let sent = side.end().try_send(link, Class::Data, probe.clone());
        let refused = sent.err().map(|refused| (refused.message, refused.reason));
        let right = matches!(&refused, Some((message, LinkError::Unknown(_) | LinkError::Closed(_)))
            if *message == probe);
        Failure::unless(right, || format!("a link that is down says {refused:?}"))?;
        side.end().close(link, CloseReason::Closed).await; // A stale id is ignored.
    }
    a.settle().await?;
    b.settle().await?;
    let downs = |side: &Side| side.log.iter().filter(|it| matches!(it, Event::Down { .. })).count();
    let downs = (downs(&a), downs(&b));
    Failure::unless(downs == (1, 1), || format!("{downs:?} ends of one link"))
}

pub(super) async fn close_reason_reaches_the_peer(fixture: &dyn Fixture) -> Result<(), Failure> {
    for reason in [CloseReason::Closed, CloseReason::ShuttingDown] {
        let peers = if reason == CloseReason::Closed { [1, 2] } else { [3, 4] };
        let mut a = Side::of(fixture, peers[0], 1).await;
        let mut b = Side::of(fixture, peers[1], 1).await;
        let [at_a, at_b] = a.link(&mut b).await?;
        a.end().close(at_a, reason).await;
        let told = b.until_down(at_b).await?;
        Failure::unless(told == reason, || format!("{reason:?} arrives as {told:?}"))?;
    }
    Ok(())
}

pub(super) async fn close_flushes(fixture: &dyn Fixture) -> Result<(), Failure> {
    const COUNT: u64 = 100;
    let ([mut a, mut b], [at_a, at_b]) = Side::pair(fixture).await?;
    for _ in 0..COUNT {
        for class in RELIABLE {
            a.send(at_a, class, 100).await?;
        }
    }
    let receive = async {
        for class in RELIABLE {
            b.until_received(at_b, class, COUNT).await?;
        }
        b.until_down(at_b).await.map(drop)
    };
    let ((), received) = tokio::join!(a.end().close(at_a, CloseReason::Closed), receive);
    received
}

/// A link that comes up again begins at 0: nothing of the old one is sent again, nothing new is taken for old.
pub(super) async fn a_new_link_carries_nothing_of_the_old_one(
    fixture: &dyn Fixture,
) -> Result<(), Failure> {
    let ([mut a, mut b], [mut at_a, mut at_b]) = Side::pair(fixture).await?;
    for round in 0..20 {
        for class in RELIABLE {
            a.send(at_a, class, 64).await?;
            a.send(at_a, class, 64).await?;
        }
        for class in RELIABLE {
            b.until_received(at_b, class, 2).await?;
        }
        // Every other time something is on its way.
        if round % 2 == 1 {
            a.send(at_a, Class::Data, 64).await?;
        }
        b.end().close(at_b, CloseReason::Closed).await;
        a.until_down(at_a).await?;
        b.until_down(at_b).await?;
        let old = (at_a, at_b);
        [at_a, at_b] = a.link_again(&mut b).await?;
        Failure::unless(old.0 != at_a && old.1 != at_b, || format!("{old:?} came up again"))?;
    }
    Ok(())
}

pub(super) async fn shutdown_delivers_what_was_accepted(
    fixture: &dyn Fixture,
) -> Result<(), Failure> {
    const COUNT: u64 = 200;
    let ([mut a, mut b], [at_a, at_b]) = Side::pair(fixture).await?;
    for _ in 0..COUNT {
        a.send(at_a, Class::Data, 500).await?;
    }
    let receive = async {
        b.until_received(at_b, Class::Data, COUNT).await?;
        b.until_down(at_b).await
    };
    let ((), told) = tokio::join!(a.end().shutdown(Duration::from_secs(10)), receive);
    let told = told?;
    Failure::unless(told == CloseReason::ShuttingDown, || format!("it is told {told:?}"))
}

pub(super) async fn after_shutdown_nothing_is_taken(fixture: &dyn Fixture) -> Result<(), Failure> {
    let ([a, mut b], [at_a, at_b]) = Side::pair(fixture).await?;
    a.end().shutdown(Duration::from_secs(10)).await;
    b.until_down(at_b).await?;
    let sent = a.end().try_send(at_a, Class::Data, Probe { number: 0, body: vec![] });
    Failure::unless(sent.is_err(), || "it takes a message".to_owned())?;
    let dialed = a.dial(b.life().peer, &b).await;
    Failure::unless(dialed.is_err(), || format!("it dials: {dialed:?}"))?;
    // What waited is drained, then it says that it is over, and goes on saying so.
    let mut events = Vec::new();
    let mut polls = 0;
    let over = poll_fn(|cx| {
        polls += 1;
        match a.end().poll_events(cx, &mut events, 1) {
            Poll::Ready(Ok(_)) if polls < 1_000 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(closed) => Poll::Ready(closed.is_err()),
            Poll::Pending => Poll::Pending,
        }
    });
    let over = tokio::time::timeout(Duration::from_secs(60), over).await;
    Failure::unless(over == Ok(true), || "its events never end".to_owned())
}
