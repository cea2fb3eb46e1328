//! Hostile faults of the memory crate: each breaks a promise, and the case that is about it says so.

use formic_memory::{Faults, Faulty, OnFull, OnReconnect, Weather};

use super::*;

struct Hostile(Memory, Faults);

#[async_trait::async_trait]
impl Fixture for Hostile {
    async fn end(&self, peer: u8, incarnation: u64) -> End {
        Faulty::around(self.0.end(peer, incarnation).await, &self.1).unwrap()
    }
}

async fn outcome(name: &str, weather: Weather) -> Result<(), Failure> {
    let (_, case) = CASES.iter().find(|(known, _)| *known == name).unwrap();
    let faults = Faults::hostile(11);
    faults.weather(weather).unwrap();
    case(&Hostile(Memory(Hub::new()), faults)).await
}

/// In calm weather the case passes.
async fn catches(name: &str, edit: impl FnOnce(&mut Weather), says: &str) {
    let mut weather = Weather::default();
    outcome(name, weather.clone()).await.unwrap();
    edit(&mut weather);
    let failure = outcome(name, weather).await.expect_err("nobody notices");
    let source = std::error::Error::source(&failure).map(ToString::to_string);
    let said = format!("{failure} {}", source.unwrap_or_default());
    assert!(said.contains(says), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reliable_messages_that_are_lost_are_caught() {
    let drops = |it: &mut Weather| it.reliable.loss = 5;
    catches("ten_thousand_in_order_in_each_class", drops, "instead of").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reliable_messages_that_overtake_each_other_are_caught() {
    let reorders = |it: &mut Weather| it.reliable.reorder = 5;
    catches("ten_thousand_in_order_in_each_class", reorders, "instead of").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reliable_messages_that_come_twice_are_caught() {
    let doubles = |it: &mut Weather| it.reliable.duplicate = 5;
    catches("ten_thousand_in_order_in_each_class", doubles, "instead of").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreliable_messages_that_come_twice_are_caught() {
    catches("unreliable_is_a_subset", |it| it.unreliable.duplicate = 100, "came twice").await;
}

/// A full queue that calls the message accepted never fills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_lost_on_full_is_caught() {
    let loses = |it: &mut Weather| it.on_full = OnFull::Lose;
    catches("full_returns_the_message_and_room_is_announced", loses, "wait at nobody").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_come_again_after_a_reconnect_are_caught() {
    let replays = |it: &mut Weather| it.on_reconnect = OnReconnect::Replay;
    catches("a_new_link_carries_nothing_of_the_old_one", replays, "instead of 0").await;
}
