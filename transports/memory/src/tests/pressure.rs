use core::{
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
};
use std::task::Wake;

use formic_core::transport::LinkError;

use super::*;
use crate::ConfigError;

fn writables(events: &[Event<u64>]) -> Vec<Class> {
    let pick = |event: &Event<u64>| match event {
        Event::Writable { class, .. } => Some(*class),
        _ => None,
    };
    events.iter().filter_map(pick).collect()
}

#[tokio::test]
async fn full_returns_the_message_and_writable_follows_once() {
    let [(a, link), (b, _)] = pair(&small()).await;
    for class in RELIABLE {
        for message in 0..4 {
            a.try_send(link, class, message).unwrap();
        }
        for _ in 0..3 {
            let refused = a.try_send(link, class, 9).unwrap_err();
            assert_eq!((refused.message, refused.reason), (9, LinkError::Full));
        }
    }
    assert_eq!(a.counters().full, 9);
    assert!(all(&a).await.is_empty());
    all(&b).await;
    assert_eq!(writables(&all(&a).await), RELIABLE);
    all(&b).await;
    assert!(all(&a).await.is_empty());
    a.try_send(link, Class::Data, 9).unwrap();
}

#[tokio::test]
async fn a_full_class_stops_no_other() {
    let [(a, link), _b] = pair(&small()).await;
    while a.try_send(link, Class::Bulk, 0).is_ok() {}
    for class in [Class::Control, Class::Data, Class::Unreliable] {
        a.try_send(link, class, 1).unwrap();
    }
}

#[tokio::test]
async fn unreliable_is_never_full_and_drops_its_oldest() {
    let [(a, link), (b, _)] = pair(&small()).await;
    for message in 0..10 {
        a.try_send(link, Class::Unreliable, message).unwrap();
    }
    assert_eq!(messages(&all(&b).await, Class::Unreliable), [6, 7, 8, 9]);
    assert_eq!(b.counters().dropped_unreliable, 6);
}

/// Counts how often it is woken: a consumer without a task.
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_waker_without_a_task_is_rung_once_per_batch() {
    let [(a, link), (b, _)] = pair(&Hub::new()).await;
    let bell = Arc::new(Bell(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&bell));
    let mut cx = Context::from_waker(&waker);
    let mut out = Vec::new();
    assert!(b.poll_events(&mut cx, &mut out, 0).is_ready());
    for round in 1..=3 {
        assert!(b.poll_events(&mut cx, &mut out, 100).is_pending());
        assert_eq!(bell.0.load(Ordering::Relaxed), round - 1);
        for message in 0..10 {
            a.try_send(link, Class::Data, message).unwrap();
        }
        assert_eq!(bell.0.load(Ordering::Relaxed), round);
        assert_eq!(b.poll_events(&mut cx, &mut out, 100), Poll::Ready(Ok(10)));
    }
}

#[tokio::test]
async fn poll_ready_wakes_every_task() {
    let [(a, link), (b, _)] = pair(&small()).await;
    while a.try_send(link, Class::Data, 0).is_ok() {}
    let bells = [(); 3].map(|()| Arc::new(Bell(AtomicUsize::new(0))));
    for bell in &bells {
        let waker = Waker::from(Arc::clone(bell));
        assert!(a.poll_ready(link, Class::Data, &mut Context::from_waker(&waker)).is_pending());
    }
    all(&b).await;
    assert!(bells.iter().all(|bell| bell.0.load(Ordering::Relaxed) == 1));
}

#[test]
fn a_bound_out_of_range_is_refused() {
    let bulk = NonZeroU32::new((1 << 20) + 1).unwrap();
    let config = Config { bulk, ..Config::default() };
    let refused = Hub::<u64>::with_config(config).map(|_| ());
    assert_eq!(refused, Err(ConfigError { field: "bulk", value: (1 << 20) + 1 }));
}
