//! Exclusive tasks.

use core::time::Duration;
use std::sync::Arc;

use formic_core::{Epoch, FateId, JobId, Key, Life, Member, Protocol, Time, View};

use super::life;
use crate::claims::{Claims, Effect, Input, Task, Value};

mod ground;
mod model;
mod rules;
mod schedules;

impl Value for u32 {
    fn size(&self) -> usize {
        if *self == Self::MAX { 2_000 } else { 4 }
    }
}

fn task(number: u8) -> Task {
    Task { job: JobId::from_bytes([9; 16]), key: Key::from_bytes([number; 16]) }
}

/// A view of these lives, each in its own process.
fn view(epoch: u64, lives: &[Life]) -> Arc<View> {
    let fate = |life: &Life| FateId(u64::from(life.peer.as_bytes()[0]));
    let members: Vec<_> =
        lives.iter().map(|life| Member { life: *life, fate: fate(life) }).collect();
    Arc::new(View {
        epoch: Epoch(epoch),
        members,
        ..View::found(Member { life: lives[0], fate: FateId(0) })
    })
}
