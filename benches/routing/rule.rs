//! What a rule is asked, and what it may answer.

use formic_pheromones::{Finding, Message, Word};

use crate::{engine::Truth, world::World};

/// A peer's answer to a probe, or its hint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) peer: usize,
    /// Tasks queued and running.
    pub(crate) tasks: u32,
    /// Promised wait and service, in microseconds.
    pub(crate) wait: u64,
    pub(crate) service: u64,
}

/// What a rule wants.
#[derive(Clone, Debug)]
pub(crate) enum Pick {
    Send(usize),
    /// Ask these; the mean service they are told, in microseconds.
    Probe(Vec<usize>, u64),
    /// Wait: nobody is up.
    Nobody,
    /// Overload: said at once.
    Refuse,
}

/// One attempt, as rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tried {
    pub(crate) dispatcher: usize,
    pub(crate) task: usize,
    pub(crate) number: u16,
    pub(crate) peer: usize,
    pub(crate) kind: usize,
}

/// What a rule may look at when it chooses.
pub(crate) struct Asked<'a> {
    pub(crate) now: u64,
    pub(crate) truth: &'a Truth,
    pub(crate) dispatcher: usize,
    pub(crate) task: usize,
    pub(crate) kind: usize,
    pub(crate) age: u64,
    /// Peers that failed this task.
    pub(crate) tried: &'a [usize],
    /// Who is believed to be up, sorted.
    pub(crate) up: &'a [usize],
}

/// What a rule says between choices.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// An attempt is overdue; how the peer keeps its promises.
    Overdue(Tried, Word),
    Trails {
        from: usize,
        to: usize,
        message: Message,
    },
}

/// Who gets the next task, at all dispatchers.
pub(crate) trait Rule {
    fn choose(&mut self, asked: &Asked<'_>) -> Pick;
    fn answered(&mut self, asked: &Asked<'_>, answers: &[Answer]) -> Pick;
    fn sent(&mut self, _now: u64, _tried: Tried) {}
    /// Reported service, in microseconds, and latency.
    fn finished(&mut self, _now: u64, _tried: Tried, _service: u64, _latency: u64) {}
    fn verified(&mut self, _now: u64, _tried: Tried, _finding: Finding) {}
    fn cancelled(&mut self, _now: u64, _tried: Tried) {}
    fn down(&mut self, _now: u64, _peer: usize) {}
    fn hint(&mut self, _now: u64, _answer: Answer) {}
    /// Liars tell each dispatcher what suits them.
    fn lie(&mut self, _now: u64, _world: &World) {}
    fn trails(&mut self, _now: u64, _to: usize, _from: usize, _message: Message) {}
    fn wake(&mut self, _now: u64, _dispatcher: usize) {}
    fn deadline(&self, _dispatcher: usize) -> Option<u64> {
        None
    }
    /// What is to be done, emptied.
    fn said(&mut self) -> Vec<Said> {
        Vec::new()
    }
    fn rescues(&self) -> bool {
        false
    }
    /// Probes that the rule sent by itself, both ways.
    fn own_probes(&self) -> u64 {
        0
    }
}
