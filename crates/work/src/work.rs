use core::time::Duration;

use formic_core::{Capability, Kind, Life, Protocol, Sink, Time, earliest};

use crate::{
    Config, Effect, Error, Input, Load, Message, Probe, Reason, TaskId,
    message::{REQUIRES_MAX, RETURNED_MAX},
    owner::{At, Owner},
    worker::{Award, Worker},
};

/// Placing and queueing at one peer: owner of its own tasks, worker for everybody's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    config: Config,
    owner: Owner,
    worker: Worker,
    now: Time,
}

impl Work {
    /// A peer that has nothing to do.
    ///
    /// # Errors
    /// A value of `config` is out of its range.
    pub fn new(config: Config, me: Life) -> Result<Self, Error> {
        config.check()?;
        let worker = Worker::new(me, config.capabilities.clone());
        Ok(Self { config, owner: Owner::default(), worker, now: Time::ZERO })
    }

    /// Whether a body runs here that does not wait for others.
    pub fn is_running(&self) -> bool {
        self.worker.is_running()
    }

    /// Whether this task's body was started here and has not ended.
    pub fn runs(&self, task: TaskId) -> bool {
        self.worker.runs(task)
    }

    /// Why a task with these requirements would be given back if it were queued here now.
    pub fn refusal(&self, requires: &[Capability]) -> Option<Reason> {
        self.worker.refusal(&self.config, requires)
    }

    /// What this peer has to do.
    pub fn load(&self) -> Load {
        self.worker.load(&self.config)
    }

    /// Own tasks that wait for a place.
    pub const fn held(&self) -> usize {
        self.owner.held()
    }

    /// Whether so much is held back that no further spawn should be acknowledged.
    pub const fn is_full(&self) -> bool {
        self.owner.is_full()
    }

    /// Where an own task is: `None` if it is unknown, `Some(None)` if it is held.
    pub fn placed(&self, task: TaskId) -> Option<Option<Life>> {
        self.owner.at(task).map(|at| match at {
            At::Held | At::Probing => None,
            At::Awarded(life) => Some(life),
        })
    }

    /// The attempt of an own task that this life was awarded and has not given back.
    pub fn awarded(&self, task: TaskId, life: Life) -> Option<u16> {
        self.owner.awarded(task, life)
    }

    /// For how long a body that was started here has had its slot, at this time, and its kind.
    pub fn slot_time(&self, task: TaskId, now: Time) -> Option<(Kind, Duration)> {
        self.worker.slot_time(task, now)
    }

    /// Asserts the invariants: O(tasks).
    ///
    /// # Panics
    /// If one is broken: a bug of this crate.
    pub fn check(&self) {
        self.owner.check();
        self.worker.check(&self.config);
    }

    fn on_input(
        &mut self,
        now: Time,
        input: Input,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        match input {
            Input::Place { .. } => self.on_place(now, input, out),
            Input::Unplace { task } => self.owner.remove(task, out),
            Input::Chosen { want, lives, missing } => {
                self.owner.on_chosen(now, &self.config, (want, lives, missing), out);
            }
            Input::Drawn { key, lives, mean } => {
                self.owner.on_drawn(now, &self.config, (key, lives, mean), out);
            }
            Input::Ranked { key, places, waits } => {
                self.owner.on_ranked(now, &self.config, (key, places, waits), out);
            }
            Input::RosterChanged => self.owner.on_roster_changed(out),
            Input::Down { life } => {
                self.worker.on_down(life);
                self.owner.on_down(now, &self.config, life, out);
            }
            Input::Queue { .. } => self.on_queue(input, out),
            Input::Waits { task } => self.worker.on_waits(&self.config, task, out)?,
            Input::Runs { task } => self.worker.on_runs(&self.config, task, out)?,
            Input::Ended { task } => self.worker.on_ended(&self.config, task, out),
            Input::JobOver { job } => {
                self.owner.remove_job(job, out);
                self.worker.on_job_over(&self.config, job, out);
            }
            Input::SetCapabilities { capabilities } => {
                self.worker.on_capabilities(&self.config, capabilities, out);
            }
            Input::Drain => self.worker.on_drain(out),
            Input::Message { from, message } => self.on_message(now, from, message, out)?,
            Input::Deadline => {
                self.owner.on_deadline(now, &self.config, out);
                self.worker.on_deadline(out);
            }
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        now: Time,
        from: Life,
        message: Message,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        match message {
            Message::Probe(probe) => {
                limit(from, "capabilities", probe.requires.len(), REQUIRES_MAX)?;
                judge(from, &probe)?;
                self.worker.on_probe(&self.config, (from, probe), out);
            }
            Message::Promise { id, load, offer } => {
                self.owner.on_promise(now, &self.config, (from, id, load, offer), out)?;
            }
            Message::Waits { tasks } => {
                limit(from, "tasks", tasks.len(), RETURNED_MAX)?;
                self.owner.on_waits(from, tasks, out);
            }
            Message::Returned { tasks, reason } => {
                limit(from, "tasks", tasks.len(), RETURNED_MAX)?;
                let until = now + self.config.avoid_for;
                self.owner.on_returned(from, until, (tasks, reason), out);
            }
            Message::Interest { tasks } => {
                self.worker.on_interest(&self.config, (from, tasks), out);
            }
            Message::Room { room: _ } => self.owner.on_room(from, out),
        }
        Ok(())
    }

    fn on_place(&mut self, now: Time, input: Input, out: &mut impl Sink<Effect>) {
        let Input::Place { task, attempt, descriptor, avoid } = input else { return };
        let avoid = avoid.map(|life| (life, now + self.config.avoid_for));
        self.owner.on_place((task, attempt), descriptor, avoid, out);
    }

    fn on_queue(&mut self, input: Input, out: &mut impl Sink<Effect>) {
        let Input::Queue { task, attempt, descriptor, owner, place } = input else { return };
        let kind = Kind::of(&descriptor.kind);
        let award = Award { task, attempt, descriptor, kind, owner, place };
        self.worker.on_queue(&self.config, award, out);
    }
}

fn limit(from: Life, what: &'static str, count: usize, limit: usize) -> Result<(), Error> {
    if count > limit {
        return Err(Error::TooMany { from, what, count, limit });
    }
    Ok(())
}

fn judge(from: Life, probe: &Probe) -> Result<(), Error> {
    let Probe { count, asked, mean_us, holds_us, .. } = *probe;
    let ranges = [
        ("count", count.into(), 1, 1_024),
        ("asked", asked.into(), 1, 64),
        ("mean_us", mean_us, 1, 30 * 24 * 3_600 * 1_000_000),
        ("holds_us", holds_us, 0, 10_000_000),
    ];
    for (field, value, low, high) in ranges {
        if value < low || value > high {
            return Err(Error::OutOfRange { from, field, value, low, high });
        }
    }
    Ok(())
}

impl Protocol for Work {
    type Input = Input;
    type Effect = Effect;
    type Error = Error;

    fn handle(
        &mut self,
        now: Time,
        input: Input,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::ClockWentBack { last: self.now, now });
        }
        let before = core::mem::replace(&mut self.worker.now, now);
        if let Err(error) = self.on_input(now, input, out) {
            self.worker.now = before;
            return Err(error);
        }
        self.owner.report_fill(&self.config, out);
        self.now = now;
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        earliest(self.owner.deadline(), self.worker.next_told())
    }
}
