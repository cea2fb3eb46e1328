//! What bodies do: a function of the seed, their task, and for moody ones of the execution.

use core::time::Duration;
use std::sync::Arc;

use formic_completion::Spawn;
use formic_core::{Descriptor, Key, Outcome, Output};

use super::plan::{Shape, Workload};
use crate::Draw;

/// What one execution will do.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// When after its start each child is spawned.
    pub(super) spawns: Vec<(Duration, Arc<Descriptor>, Spawn)>,
    /// How long the body runs at least.
    pub(super) length: Duration,
    /// Whether it waits for its awaited children.
    pub(super) joins: bool,
    /// How it ends.
    pub(super) outcome: Outcome,
}

pub(super) fn descriptor(level: u64, number: u64) -> Arc<Descriptor> {
    let payload = [level.to_be_bytes(), number.to_be_bytes()].concat();
    Arc::new(Descriptor {
        kind: "sim".to_owned(),
        name: String::new(),
        requires: vec![],
        payload,
        recipe: vec![],
        wall: None,
        exclusive: None,
    })
}

pub(super) fn number(key: Key) -> u64 {
    key.as_bytes().first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
}

impl Script {
    /// The script of execution `run` of the task.
    pub(super) fn of(
        draw: Draw,
        work: &Workload,
        (key, run): (Key, u64),
        descriptor: &Descriptor,
    ) -> Self {
        let payload = &descriptor.payload;
        let level = payload.first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
        let who = number(key);
        let moody = draw.chance("moody", &[who], work.moody);
        let what = [who, if moody { run } else { 0 }];
        let children = children(draw, work, level, &what);
        let body = u64::try_from(work.body.as_micros()).unwrap_or(1_000);
        let long = draw.chance("long", &what, 20);
        let length = draw.below("length", &what, body * if long { 20 } else { 2 });
        let spawn = |index: u64| {
            let at = draw.below("spawn-at", &[who, index, what[1]], length.max(1));
            let tail = draw.chance("tail", &[who, index], work.tails);
            let mode = if tail { Spawn::Tail } else { Spawn::Nested };
            (Duration::from_micros(at), self::descriptor(level + 1, index * 8 + what[1]), mode)
        };
        Self {
            spawns: (0..children).map(spawn).collect(),
            length: Duration::from_micros(length),
            joins: draw.chance("joins", &what, work.joins),
            outcome: if draw.chance("fails", &what, 30) {
                Outcome::failed("failed", "as scripted")
            } else {
                Outcome::Ok(Output { value: key.as_bytes().to_vec(), files: vec![] })
            },
        }
    }
}

fn children(draw: Draw, work: &Workload, level: u64, what: &[u64]) -> u64 {
    match work.shape {
        Shape::Flat if level == 0 => work.width,
        Shape::Chain if level < work.width => 1,
        Shape::Tree if level == 0 => work.width,
        Shape::Tree if level <= work.depth => draw.below("children", what, 4),
        _ => 0,
    }
}
