//! Wakes those who wait for a moment or for another plan.

use core::task::Waker;
use std::sync::{Arc, Mutex};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::end::hold;

#[derive(Debug, Default)]
pub(crate) struct Alarm {
    waiting: Mutex<Waiting>,
    earlier: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    consumer: Option<Waker>,
    ready: Vec<Waker>,
    at: Option<Instant>,
}

impl Alarm {
    /// The consumer of events; the last one wins.
    pub(crate) fn listen(&self, consumer: &Waker) {
        hold(&self.waiting).consumer = Some(consumer.clone());
    }

    /// A task that waits for room.
    pub(crate) fn await_ready(&self, waker: &Waker) {
        let mut waiting = hold(&self.waiting);
        if !waiting.ready.iter().any(|known| known.will_wake(waker)) {
            waiting.ready.push(waker.clone());
        }
    }

    /// Everybody is woken at this moment, if not earlier.
    pub(crate) fn set(&self, at: Instant) {
        let mut waiting = hold(&self.waiting);
        if waiting.at.is_none_or(|known| at < known) {
            waiting.at = Some(at);
            self.earlier.notify_one();
        }
    }

    /// Wakes everybody now. Who still waits asks again.
    pub(crate) fn ring(&self) {
        let mut waiting = hold(&self.waiting);
        let mut wakers = core::mem::take(&mut waiting.ready);
        wakers.extend(waiting.consumer.take());
        drop(waiting);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Rings whenever it was set to. Never ends.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            let at = hold(&self.waiting).at;
            let Some(at) = at else {
                self.earlier.notified().await;
                continue;
            };
            tokio::select! {
                () = sleep_until(at) => {
                    hold(&self.waiting).at = None;
                    self.ring();
                }
                () = self.earlier.notified() => {}
            }
        }
    }
}
