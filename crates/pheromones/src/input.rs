use core::time::Duration;

use formic_core::{Key, Life, PeerId, View};

use crate::{Error, Kind, Message, Size, units::SPAN_MAX};

/// What happened at this peer, as far as choosing is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A task needs a place (P4, P5). Answered by `Candidates`, or by `Chosen` with nobody.
    Choose {
        /// The task.
        key: Key,
        /// What it is an example of.
        kind: Kind,
        /// How large it is.
        size: Size,
        /// Who is alive, takes work and can do it: sorted, unique by peer.
        eligible: Vec<Life>,
        /// Who had it before: chosen only if nobody else is left.
        tried: Vec<PeerId>,
    },
    /// The candidates' promises are in (P7, P8). Answered by `Chosen`.
    Rank {
        /// The task.
        key: Key,
        /// What they promised. Those of others than candidates are passed over and counted.
        promises: Vec<Promise>,
    },
    /// The candidates' promises are in, for many tasks of the chosen one's kind and size at once (P7, P8 for
    /// each, own awards counted). Answered by `Spread`.
    Spread {
        /// The task that was chosen for.
        key: Key,
        /// How many tasks.
        count: u32,
        /// No task is to wait longer than this: it is held back instead (work.md W5).
        hold: Duration,
        /// What happens where the best has no room.
        when_full: WhenFull,
        /// What the candidates offered. Offers without room may come from others, too: earlier promises of
        /// those that are not asked again.
        offers: Vec<Offer>,
    },
    /// An attempt was sent, or is moved: only what was sent can deposit (section 7).
    Sent {
        /// The task.
        key: Key,
        /// Which attempt, from 1.
        attempt: u16,
        /// To whom, and what was promised.
        award: Award,
    },
    /// A life reports an attempt done (P9).
    Finished {
        /// The task.
        key: Key,
        /// Which attempt.
        attempt: u16,
        /// Who reports.
        life: Life,
        /// For how long a slot was used, as it says.
        service: Duration,
        /// Whether the time until now tells how the promise was kept.
        latency: Latency,
    },
    /// A life reports that an attempt failed: laid down as a service of ten means more than it took, because
    /// it has to be done again. A peer that fails at once would otherwise look fast.
    Failed {
        /// The task.
        key: Key,
        /// Which attempt.
        attempt: u16,
        /// Who reports.
        life: Life,
    },
    /// The result of an attempt was verified (P10).
    Verified {
        /// The task.
        key: Key,
        /// Which attempt.
        attempt: u16,
        /// Who made it.
        life: Life,
        /// What was found.
        finding: Finding,
    },
    /// A body gave its slot back, or has one again: the overdue clock stands meanwhile.
    Slot {
        /// The task.
        key: Key,
        /// Which attempt.
        attempt: u16,
        /// Who reports.
        life: Life,
        /// What it does.
        turn: Turn,
    },
    /// An attempt is not wanted any more (P12).
    Cancelled {
        /// The task.
        key: Key,
        /// Which attempt.
        attempt: u16,
    },
    /// How long a new task would wait at a peer, as mesh heard.
    Load {
        /// Where.
        peer: PeerId,
        /// Work queued per slot.
        queued: Duration,
    },
    /// The plan's guess of a kind's mean service: counts until the first completion.
    Expect {
        /// Which kind.
        kind: Kind,
        /// The mean.
        mean: Duration,
    },
    /// Who the members are.
    View(View),
    /// A life is believed dead: its attempts are over, without a deposit (P12).
    Down {
        /// Who.
        life: Life,
    },
    /// A message arrived.
    Message {
        /// The life at the other end of the link.
        from: Life,
        /// What it said.
        message: Message,
    },
    /// The time asked for by `deadline()` has come.
    Deadline,
}

/// A candidate's answer to a probe (work.md W4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Promise {
    life: Life,
    wait_us: u64,
    service_us: u64,
}

impl Promise {
    /// `life` says: it waits that long, and then takes that long.
    ///
    /// # Errors
    /// [`Error::BadPromise`]: a service below 1 us, or one of the two above 30 days.
    pub fn new(life: Life, wait: Duration, service: Duration) -> Result<Self, Error> {
        let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let (wait_us, service_us) = (us(wait), us(service));
        if service_us == 0 || service > SPAN_MAX || wait > SPAN_MAX {
            return Err(Error::BadPromise { from: life, wait_us, service_us });
        }
        Ok(Self { life, wait_us, service_us })
    }

    /// Who promised.
    pub const fn life(&self) -> Life {
        self.life
    }

    /// In microseconds.
    pub(crate) const fn wait_us(&self) -> u64 {
        self.wait_us
    }

    /// In microseconds.
    pub(crate) const fn service_us(&self) -> u64 {
        self.service_us
    }
}

/// A promise for many tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    /// Wait and service for the first of them.
    pub promise: Promise,
    /// For how many tasks there is room.
    pub room: u32,
    /// How many bodies run there at once: at least 1.
    pub slots: u32,
    /// How many of its slots are free.
    pub free: u32,
}

/// What happens to a task for which the best peer has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WhenFull {
    /// It is held back: the others would take longer than the best one with its queue.
    Wait,
    /// It goes to the next best.
    Next,
}

/// Whether the time from sending an attempt to its end says anything about a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Latency {
    /// It does.
    Counts,
    /// Tasks that it spawned had to end first.
    HadChildren,
}

/// To whom an attempt was sent, and on what promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Award {
    /// To whom.
    pub life: Life,
    /// What the task is an example of.
    pub kind: Kind,
    /// How large it is.
    pub size: Size,
    /// Wait and service together, from `Chosen`.
    pub promised: Duration,
    /// The service alone, from `Chosen`.
    pub service: Duration,
}

/// What a verifier found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// The result is good.
    Good,
    /// It is not.
    Bad,
}

/// What a body does with its slot (work.md W12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Turn {
    /// It waits for children or help, without a slot.
    Waits,
    /// It has one.
    Runs,
}
