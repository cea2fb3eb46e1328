use core::time::Duration;
use std::sync::Arc;

use formic_core::discovery::{Announce, Announcement};
use tokio::{task::JoinSet, time::sleep};

/// How often a place that took no announcement is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// Keeps the peer announced, from the time that it is a member until it stops.
pub(crate) struct Announcer {
    places: Vec<Arc<dyn Announce>>,
    /// One per place that has taken no announcement so far.
    tries: JoinSet<()>,
}

impl Announcer {
    pub(crate) fn new(places: Vec<Arc<dyn Announce>>) -> Self {
        Self { places, tries: JoinSet::new() }
    }

    /// Announces everywhere, in the background and until it succeeds.
    pub(crate) fn start(&mut self, me: &Announcement) {
        self.tries = JoinSet::new();
        for place in &self.places {
            self.tries.spawn(announce(Arc::clone(place), me.clone()));
        }
    }

    /// Takes everything back. Cancel-safe.
    pub(crate) async fn close(&mut self) {
        self.tries.shutdown().await;
        let mut goodbyes = JoinSet::new();
        for place in self.places.drain(..) {
            goodbyes.spawn(async move { place.withdraw().await });
        }
        while goodbyes.join_next().await.is_some() {}
    }
}

async fn announce(place: Arc<dyn Announce>, me: Announcement) {
    while let Err(error) = place.announce(&me).await {
        let peer = me.peer.short();
        tracing::warn!(peer, %error, "not announced; tries again every {} s", AGAIN.as_secs());
        sleep(AGAIN).await;
    }
}
