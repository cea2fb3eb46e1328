//! What arrives, and at whom.

use formic_core::transport::{Class, Event, LinkError, LinkId};

use crate::{Failure, Fixture, Probe, Side};

pub(super) const RELIABLE: [Class; 3] = [Class::Control, Class::Data, Class::Bulk];
const ALL: [Class; 4] = [Class::Control, Class::Data, Class::Bulk, Class::Unreliable];

async fn send_all(
    from: &mut Side,
    link: LinkId,
    (count, size): (u64, usize),
) -> Result<(), Failure> {
    for _ in 0..count {
        for class in RELIABLE {
            from.send(link, class, size).await?;
        }
    }
    Ok(())
}

async fn receive_all(at: &mut Side, link: LinkId, count: u64) -> Result<(), Failure> {
    for class in RELIABLE {
        at.until_received(link, class, count).await?;
    }
    Ok(())
}

/// K2: the contract counts.
pub(super) async fn ten_thousand_in_order_in_each_class(
    fixture: &dyn Fixture,
) -> Result<(), Failure> {
    let ([mut a, mut b], [at_a, at_b]) = Side::pair(fixture).await?;
    let sent = send_all(&mut a, at_a, (10_000, 32));
    tokio::try_join!(sent, receive_all(&mut b, at_b, 10_000)).map(drop)
}

pub(super) async fn both_directions_at_once(fixture: &dyn Fixture) -> Result<(), Failure> {
    const COUNT: u64 = 500;
    let ([mut a, mut b], [at_a, at_b]) = Side::pair(fixture).await?;
    for _ in 0..COUNT {
        for class in RELIABLE {
            while !a.try_send(at_a, class, 200)? {
                b.some("messages").await?;
            }
            while !b.try_send(at_b, class, 200)? {
                a.some("messages").await?;
            }
        }
    }
    receive_all(&mut a, at_a, COUNT).await?;
    receive_all(&mut b, at_b, COUNT).await
}

pub(super) async fn hundred_from_each_of_ten(fixture: &dyn Fixture) -> Result<(), Failure> {
    let mut hub = Side::of(fixture, 1, 1).await;
    let mut others = Vec::new();
    for peer in 2..=11 {
        let mut other = Side::of(fixture, peer, 1).await;
        let [there, here] = other.link(&mut hub).await?;
        others.push((other, there, here));
    }
    for _ in 0..100 {
        for (other, there, _) in &mut others {
            while !other.try_send(*there, Class::Data, 64)? {
                hub.some("messages").await?;
            }
        }
    }
    for (_, _, here) in &others {
        hub.until_received(*here, Class::Data, 100).await?;
    }
    Ok(())
}

pub(super) async fn only_who_is_addressed_hears(fixture: &dyn Fixture) -> Result<(), Failure> {
    let mut sender = Side::of(fixture, 1, 1).await;
    let mut others = Vec::new();
    for peer in 2..=7 {
        let mut other = Side::of(fixture, peer, 1).await;
        let [here, there] = sender.link(&mut other).await?;
        others.push((other, here, there));
    }
    for (_, here, _) in others.iter().step_by(2) {
        sender.send(*here, Class::Control, 16).await?;
    }
    for (index, (other, _, there)) in others.iter_mut().enumerate() {
        let expected = u64::from(index % 2 == 0);
        other.until_received(*there, Class::Control, expected).await?;
        other.settle().await?;
        let heard = other.received(*there, Class::Control);
        Failure::unless(heard == expected, || format!("peer {index} hears {heard}"))?;
    }
    Ok(())
}

/// The largest payload that a class takes, up to a bound; found by asking.
fn largest(side: &Side, link: LinkId, class: Class) -> Option<usize> {
    let limit = side.end().capabilities().max_message[class as usize];
    if limit == usize::MAX {
        return None;
    }
    let probe = Probe { number: 0, body: vec![0; limit] };
    match side.end().try_send(link, class, probe) {
        Err(refused) => match refused.reason {
            LinkError::TooLarge { size, limit } => Some(limit - (size - limit)),
            _ => None,
        },
        Ok(()) => None,
    }
}

pub(super) async fn empty_and_largest_message(fixture: &dyn Fixture) -> Result<(), Failure> {
    let ([mut a, mut b], [at_a, at_b]) = Side::pair(fixture).await?;
    for class in RELIABLE {
        let size = largest(&a, at_a, class).unwrap_or(1 << 20);
        a.send(at_a, class, 0).await?;
        a.send(at_a, class, size).await?;
        b.until_received(at_b, class, 2).await?;
        let body = b.log.iter().rev().find_map(|event| match event {
            Event::Message { message, .. } => Some(message.body.len()),
            _ => None,
        });
        Failure::unless(body == Some(size), || format!("{class:?}: {size} bytes are {body:?}"))?;
    }
    Ok(())
}

pub(super) async fn too_large_comes_back(fixture: &dyn Fixture) -> Result<(), Failure> {
    let ([mut a, mut b], [at_a, at_b]) = Side::pair(fixture).await?;
    for class in ALL {
        let limit = a.end().capabilities().max_message[class as usize];
        if limit == usize::MAX {
            continue; // Nothing is too large.
        }
        let probe = Probe { number: 77, body: vec![7; limit] };
        let Err(refused) = a.end().try_send(at_a, class, probe.clone()) else {
            return Err(Failure::Case { what: format!("{class:?} takes more than {limit} bytes") });
        };
        Failure::unless(refused.message == probe, || format!("{class:?} comes back changed"))?;
        let right = matches!(refused.reason, LinkError::TooLarge { size, limit: told }
            if size > limit && told == limit);
        Failure::unless(right, || format!("{class:?}: {}", refused.reason))?;
    }
    a.send(at_a, Class::Control, 8).await?;
    b.until_received(at_b, Class::Control, 1).await
}

/// K3: the contract refuses duplicates; nothing arrives that was not sent.
pub(super) async fn unreliable_is_a_subset(fixture: &dyn Fixture) -> Result<(), Failure> {
    const COUNT: u64 = 1_000;
    let ([mut a, mut b], [at_a, _]) = Side::pair(fixture).await?;
    for _ in 0..COUNT {
        let taken = a.try_send(at_a, Class::Unreliable, 32)?;
        Failure::unless(taken, || "unreliable messages are refused".to_owned())?;
        tokio::task::yield_now().await;
    }
    b.settle().await?;
    let number = |event: &Event<Probe>| match event {
        Event::Message { class: Class::Unreliable, message, .. } => Some(message.number),
        _ => None,
    };
    let numbers: Vec<u64> = b.log.iter().filter_map(number).collect();
    let known = numbers.iter().all(|number| *number < COUNT);
    Failure::unless(known && !numbers.is_empty(), || format!("{} arrive", numbers.len()))
}
