//! What happens when a receiver does not take what is sent.

use core::{
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering},
    task::Waker,
    time::Duration,
};
use std::{collections::VecDeque, sync::Arc, task::Wake};

use formic_core::transport::{Class, Event, LinkError};

use super::delivery::RELIABLE;
use crate::{Failure, Fixture, Probe, Side};

const SIZE: usize = 1_000;

/// Nothing that was accepted is lost, and room is announced once per class (K2, K6: the contract counts).
pub(super) async fn full_returns_the_message_and_room_is_announced(
    fixture: &dyn Fixture,
) -> Result<(), Failure> {
    let ([mut a, mut b], [at_a, at_b]) = Side::pair(fixture).await?;
    for class in RELIABLE {
        a.fill(at_a, class, SIZE).await?;
    }
    for class in RELIABLE {
        b.until_received(at_b, class, a.accepted(at_a, class)).await?;
    }
    for of in RELIABLE {
        let writable = move |event: &Event<Probe>| match event {
            Event::Writable { class, .. } if *class == of => Some(()),
            _ => None,
        };
        a.until("room", writable).await?;
        a.send(at_a, of, SIZE).await?;
        b.until_received(at_b, of, a.accepted(at_a, of)).await?;
    }
    Ok(())
}

pub(super) async fn a_full_class_stops_no_other(fixture: &dyn Fixture) -> Result<(), Failure> {
    let ([mut a, mut b], [at_a, at_b]) = Side::pair(fixture).await?;
    a.fill(at_a, Class::Bulk, SIZE).await?;
    for class in [Class::Control, Class::Data, Class::Unreliable] {
        let taken = a.try_send(at_a, class, 8)?;
        Failure::unless(taken, || format!("{class:?} waits behind Bulk"))?;
    }
    let taken = b.try_send(at_b, Class::Bulk, SIZE)?;
    Failure::unless(taken, || "the other direction waits".to_owned())?;
    a.until_received(at_a, Class::Bulk, 1).await?;
    for class in [Class::Control, Class::Data] {
        b.until_received(at_b, class, 1).await?;
    }
    b.until_received(at_b, Class::Bulk, a.accepted(at_a, Class::Bulk)).await
}

/// Counts how often it is woken.
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) async fn ready_wakes_every_task(fixture: &dyn Fixture) -> Result<(), Failure> {
    let ([mut a, mut b], [at_a, at_b]) = Side::pair(fixture).await?;
    a.fill(at_a, Class::Data, SIZE).await?;
    let bells = [(); 3].map(|()| Arc::new(Bell(AtomicUsize::new(0))));
    for bell in &bells {
        let ready = a.is_ready(at_a, Class::Data, &Waker::from(Arc::clone(bell)))?;
        Failure::unless(!ready, || "a full class is ready".to_owned())?;
    }
    b.until_received(at_b, Class::Data, a.accepted(at_a, Class::Data)).await?;
    for _ in 0..1_000 {
        if bells.iter().all(|bell| bell.0.load(Ordering::Relaxed) > 0) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err(Failure::Case { what: "a task that waited for room was not woken".to_owned() })
}

pub(super) async fn a_batch_is_taken_in_part(fixture: &dyn Fixture) -> Result<(), Failure> {
    const COUNT: u64 = 20_000;
    let ([a, mut b], [at_a, at_b]) = Side::pair(fixture).await?;
    let probe = |number| Probe { number, body: vec![0; SIZE] };
    let mut queue: VecDeque<Probe> = (0..COUNT).map(probe).collect();
    let mut partial = 0;
    while !queue.is_empty() {
        let before = queue.len();
        match a.end().try_send_batch(at_a, Class::Data, &mut queue) {
            Ok(taken) => {
                let left = before - queue.len() == taken && taken > 0;
                Failure::unless(left, || format!("{taken} of {before} leave {}", queue.len()))?;
                partial += u64::from(!queue.is_empty());
            }
            Err(LinkError::Full) => {
                Failure::unless(queue.len() == before, || "a refused batch shrank".to_owned())?;
                // A storm of `Full` may come when all has arrived: then nothing more comes, and there will be room.
                let room = poll_fn(|cx| a.end().poll_ready(at_a, Class::Data, cx));
                tokio::select! {
                    came = b.some("messages") => came?,
                    _ = room => {}
                }
            }
            Err(why) => return Err(Failure::Case { what: format!("a batch is refused: {why}") }),
        }
    }
    b.until_received(at_b, Class::Data, COUNT).await?;
    Failure::unless(partial > 0, || format!("a batch of {COUNT} messages was taken whole"))
}

pub(super) async fn unreliable_is_never_full(fixture: &dyn Fixture) -> Result<(), Failure> {
    let ([mut a, _b], [at_a, _]) = Side::pair(fixture).await?;
    for _ in 0..20_000 {
        let taken = a.try_send(at_a, Class::Unreliable, 64)?;
        Failure::unless(taken, || "an unreliable message was refused".to_owned())?;
    }
    Ok(())
}
