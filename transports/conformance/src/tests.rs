//! The suite itself: it passes a good transport, and catches bad ones.

use formic_core::{Incarnation, Life, PeerId};
use formic_memory::Hub;

use crate::{CASES, End, Failure, Fixture, Probe};

mod broken;
mod hostile;

use broken::{Broken, Flaw};

struct Memory(Hub<Probe>);

#[async_trait::async_trait]
impl Fixture for Memory {
    async fn end(&self, peer: u8, incarnation: u64) -> End {
        let life = Life::new(PeerId::from_bytes([peer; 32]), Incarnation(incarnation));
        self.0.join(life, &life.to_string()).unwrap()
    }
}

struct Flawed(Memory, Flaw);

#[async_trait::async_trait]
impl Fixture for Flawed {
    async fn end(&self, peer: u8, incarnation: u64) -> End {
        Broken::around(self.0.end(peer, incarnation).await, self.1)
    }
}

async fn outcome(name: &str, flaw: Flaw) -> Result<(), Failure> {
    let (_, case) = CASES.iter().find(|(known, _)| *known == name).unwrap();
    case(&Flawed(Memory(Hub::new()), flaw)).await
}

/// Which case is about which flaw; without the flaw it passes.
async fn catches(name: &str, flaw: Flaw, says: &str) {
    outcome(name, Flaw::None).await.unwrap();
    let failure = outcome(name, flaw).await.expect_err("the flaw is not noticed");
    let source = std::error::Error::source(&failure).map(ToString::to_string);
    let said = format!("{failure} {}", source.unwrap_or_default());
    assert!(said.contains(says), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_messages_are_caught() {
    catches("ten_thousand_in_order_in_each_class", Flaw::Drops, "instead of 100").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_order_within_a_class_is_caught() {
    catches("ten_thousand_in_order_in_each_class", Flaw::Reorders, "instead of 99").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_message_that_does_not_come_back_is_caught() {
    let name = "full_returns_the_message_and_room_is_announced";
    catches(name, Flaw::KeepsRefused, "came back changed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_the_last_link_on_the_next_one_are_caught() {
    let name = "a_new_link_carries_nothing_of_the_old_one";
    catches(name, Flaw::ResendsAfterReconnect, "instead of 0").await;
}

/// The flaws are rare enough that other cases do not see them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flaw_is_no_general_failure() {
    for flaw in [Flaw::Drops, Flaw::Reorders, Flaw::KeepsRefused, Flaw::ResendsAfterReconnect] {
        outcome("both_ends_know_whom_they_met", flaw).await.unwrap();
    }
}

mod memory {
    use super::*;

    crate::conformance!(Memory(Hub::new()));
}
