use formic_core::{Capability, Life, Protocol, Random, Sink, Time};

use crate::{
    Config, Effect, Error, Input, Load, Message, Reason, TaskId,
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
    pub fn new(config: Config, me: Life, random: Random) -> Result<Self, Error> {
        config.check()?;
        let worker = Worker::new(me, config.capabilities.clone());
        Ok(Self { config, owner: Owner::new(random), worker, now: Time::ZERO })
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

    /// Asserts the invariants: O(tasks).
    ///
    /// # Panics
    /// If one is broken: a bug of this crate.
    pub fn check(&self) {
        self.owner.check();
        self.worker.check(&self.config);
    }

    fn on_message(
        &mut self,
        now: Time,
        from: Life,
        message: Message,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        match message {
            Message::Probe { id, count: _, requires } => {
                limit(from, "capabilities", requires.len(), REQUIRES_MAX)?;
                let message = self.worker.promise(&self.config, id, &requires);
                out.push(Effect::Send { to: from, message });
            }
            Message::Promise { id, load, room } => {
                self.owner.on_promise(now, &self.config, (from, id, load, room), out)?;
            }
            Message::Returned { tasks, reason } => {
                limit(from, "tasks", tasks.len(), RETURNED_MAX)?;
                let until = now + self.config.avoid_for;
                self.owner.on_returned(from, until, (tasks, reason), out);
            }
            Message::Interest => self.worker.on_interest(&self.config, from, out),
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
        let award = Award { task, attempt, descriptor, owner, place };
        self.worker.on_queue(&self.config, award, out);
    }
}

fn limit(from: Life, what: &'static str, count: usize, limit: usize) -> Result<(), Error> {
    if count > limit {
        return Err(Error::TooMany { from, what, count, limit });
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
        match input {
            Input::Place { .. } => self.on_place(now, input, out),
            Input::Unplace { task } => self.owner.remove(task),
            Input::Chosen { requires, lives, missing } => {
                self.owner.on_chosen(now, &self.config, (requires, lives, missing), out);
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
                self.owner.remove_job(job);
                self.worker.on_job_over(&self.config, job, out);
            }
            Input::SetCapabilities { capabilities } => {
                self.worker.on_capabilities(&self.config, capabilities, out);
            }
            Input::Drain => self.worker.on_drain(out),
            Input::Message { from, message } => self.on_message(now, from, message, out)?,
            Input::Deadline => self.owner.on_deadline(now, &self.config, out),
        }
        self.owner.report_fill(&self.config, out);
        self.now = now;
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        self.owner.deadline()
    }
}
