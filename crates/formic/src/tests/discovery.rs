//! Sources and places that a peer is given.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use formic_core::{
    Digest, PeerId,
    discovery::{Announce, Announcement, Discovery, DiscoveryError},
};
use tokio::{sync::Notify, time::Instant};

use super::harness::{World, watchdog};
use crate::{driver::Announcer, transport::Address};

/// A place that refuses at first, and a source of what is announced there.
#[derive(Default)]
struct Board {
    refusals: Mutex<u32>,
    shown: Mutex<Option<Announcement>>,
    changed: Notify,
}

impl Board {
    fn shown(&self) -> Option<Announcement> {
        self.shown.lock().unwrap().clone()
    }

    async fn appears(&self) -> Announcement {
        loop {
            if let Some(shown) = self.shown() {
                return shown;
            }
            self.changed.notified().await;
        }
    }
}

#[async_trait]
impl Announce for Board {
    fn name(&self) -> String {
        "board".to_owned()
    }

    async fn announce(&self, me: &Announcement) -> Result<(), DiscoveryError> {
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return Err(DiscoveryError::new("board", "no chalk"));
        }
        *self.shown.lock().unwrap() = Some(me.clone());
        self.changed.notify_one();
        Ok(())
    }

    async fn withdraw(&self) {
        *self.shown.lock().unwrap() = None;
    }
}

#[async_trait]
impl Discovery for Board {
    fn name(&self) -> String {
        "board".to_owned()
    }

    async fn find(&self) -> Result<Vec<Address>, DiscoveryError> {
        Ok(self.shown().into_iter().flat_map(|me| me.addresses).collect())
    }
}

#[tokio::test]
async fn a_member_is_announced_found_and_withdrawn() {
    let (world, board) = (World::new(), Arc::new(Board::default()));
    watchdog(async {
        let alice = world.peer().announce(board.clone()).start().await.unwrap();
        let shown = board.appears().await;
        assert_eq!(shown.peer, alice.life().peer);
        assert_eq!(shown.addresses, alice.addresses());
        assert_eq!(Some(shown.mesh), alice.status().await.unwrap().mesh);
        let bob = world.peer().discover(board.clone()).start().await.unwrap();
        bob.wait_joined().await.unwrap();
        assert_eq!(bob.status().await.unwrap().mesh, Some(shown.mesh));
        alice.leave().await;
        assert_eq!(board.shown(), None);
    })
    .await;
}

#[tokio::test]
async fn who_is_no_member_is_not_announced() {
    let (world, board) = (World::new(), Arc::new(Board::default()));
    watchdog(async {
        // It looks where nobody but itself could be.
        let both = world.peer().announce(board.clone()).discover(board.clone());
        let lonely = both.start().await.unwrap();
        lonely.leave().await;
        assert_eq!(board.find().await.unwrap(), []);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_place_that_cannot_be_used_is_tried_again() {
    let board = Arc::new(Board::default());
    *board.refusals.lock().unwrap() = 3;
    let mut announcer = Announcer::new(vec![board.clone()]);
    let (peer, mesh) = (PeerId::from_bytes([1; 32]), Digest::of(&[b"mesh"]));
    let me = Announcement { peer, mesh, addresses: Vec::new() };
    let start = Instant::now();
    announcer.start(&me);
    assert_eq!(board.appears().await, me);
    // The clock of the test stands still except for what is waited for.
    assert_eq!(start.elapsed(), Duration::from_secs(180));
    announcer.close().await;
    assert_eq!(board.shown(), None);
}
