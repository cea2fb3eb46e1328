use core::time::Duration;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use formic::{AgentError, AgentSpec};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{Order, open, process::Process};
use crate::{
    Config,
    environment::Environment,
    host::Host,
    process::{Keepers, Spawner},
};

/// Deaths in [`DEATH_WINDOW`] after which an agent gives up.
const DEATHS_MAX: usize = 5;
const DEATH_WINDOW: Duration = Duration::from_secs(60);
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Orders to a process that it has not taken yet.
const ORDERS_MAX: usize = 64;

/// The processes of one agent, and who sits where.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) spec: AgentSpec,
    pub(super) config: Config,
    pub(super) environment: Arc<Environment>,
    pub(super) spawner: Arc<Spawner>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    seats: BTreeMap<u64, Seat>,
    next: u64,
    opening: bool,
    deaths: VecDeque<Instant>,
    /// Deaths since a task last ended in an orderly way.
    streak: u32,
    not_before: Option<Instant>,
    refusal: Option<AgentError>,
}

#[derive(Debug)]
struct Seat {
    inbox: mpsc::Sender<Order>,
    limits: Limits,
    running: usize,
    waiting: usize,
    leaving: bool,
}

/// What a process said it can take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) slots: usize,
    pub(super) interleave: bool,
}

impl Seat {
    /// Without `interleave` a process that waits in a join can do nothing else.
    const fn is_free(&self) -> bool {
        let free = self.running < self.limits.slots;
        !self.leaving && free && (self.limits.interleave || self.waiting == 0)
    }
}

enum Pick {
    Seat(u64, mpsc::Sender<Order>),
    Open,
    Wait(Option<Instant>),
    Refuse(AgentError),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// By its own fault.
    Died,
    /// It was told to.
    Retired,
}

impl Pool {
    pub(super) fn new(
        spec: AgentSpec,
        config: Config,
        environment: Arc<Environment>,
        spawner: Arc<Spawner>,
    ) -> Self {
        let (state, changed) = (Mutex::default(), Notify::new());
        Self { spec, config, environment, spawner, state, changed }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in a process; starts one if need be. Cancel-safe: a process that was just being started is killed.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        keepers: &Keepers,
        host: &dyn Host,
    ) -> Result<(Place, mpsc::Sender<Order>), AgentError> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before looking: a change between looking and waiting must not be missed.
            changed.as_mut().enable();
            let pick = self.state().pick(self.config.processes);
            match pick {
                Pick::Refuse(error) => return Err(error),
                Pick::Seat(seat, inbox) => return Ok((Place::new(self, seat), inbox)),
                Pick::Open => return self.open(keepers, host).await,
                Pick::Wait(None) => changed.await,
                Pick::Wait(Some(until)) => {
                    tokio::select! { () = changed => {} () = sleep_until(until) => {} }
                }
            }
        }
    }

    async fn open(
        self: &Arc<Self>,
        keepers: &Keepers,
        host: &dyn Host,
    ) -> Result<(Place, mpsc::Sender<Order>), AgentError> {
        let opening = Opening(self);
        let opened = match open::open(self, host).await {
            Ok(opened) => opened,
            Err(error) => {
                self.state().died();
                return Err(error);
            }
        };
        let (inbox, orders) = mpsc::channel(ORDERS_MAX);
        let seat = self.state().seat(inbox.clone(), opened.limits());
        drop(opening);
        let place = Place::new(self, seat);
        keepers.spawn(Process::new(Arc::clone(self), seat, opened, orders).serve());
        Ok((place, inbox))
    }

    /// Why a task found no place in time.
    pub(super) fn none_within(&self, wall: Duration) -> String {
        let name = &self.spec.name;
        if self.state().seats.is_empty() {
            format!("agent {name}: no process of it said `ready` within {wall:?}")
        } else {
            format!("agent {name}: all its processes were busy for {wall:?}")
        }
    }

    /// No more tasks; processes are asked to end within `grace`.
    pub(super) fn close(&self, grace: Duration) {
        let mut state = self.state();
        state.refusal.get_or_insert_with(|| AgentError::failed("closed", "the agent was closed"));
        for seat in state.seats.values() {
            // A full inbox belongs to a process that is about to be killed with its keeper.
            drop(seat.inbox.try_send(Order::Close(grace)));
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// The process takes no further tasks.
    pub(super) fn leaving(&self, seat: u64) {
        if let Some(seat) = self.state().seats.get_mut(&seat) {
            seat.leaving = true;
        }
    }

    pub(super) fn left(&self, seat: u64, left: Left) {
        let mut state = self.state();
        state.seats.remove(&seat);
        if left == Left::Died {
            state.died();
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// A task ended in an orderly way: the program works.
    pub(super) fn prove_alive(&self) {
        let mut state = self.state();
        state.streak = 0;
        state.not_before = None;
    }

    fn change(&self, seat: u64, change: impl FnOnce(&mut Seat)) {
        if let Some(seat) = self.state().seats.get_mut(&seat) {
            change(seat);
        }
        // One place came free: waking all who wait would cost the square of their number.
        self.changed.notify_one();
    }
}

impl State {
    fn pick(&mut self, processes: usize) -> Pick {
        if let Some(refusal) = &self.refusal {
            return Pick::Refuse(refusal.clone());
        }
        let free = self.seats.iter_mut().filter(|(_, seat)| seat.is_free());
        if let Some((id, seat)) = free.min_by_key(|(_, seat)| seat.running) {
            seat.running += 1;
            return Pick::Seat(*id, seat.inbox.clone());
        }
        // One at a time: two tasks that come together may fit into one process.
        if self.opening || self.seats.len() >= processes {
            return Pick::Wait(None);
        }
        if self.not_before.is_some_and(|at| at > Instant::now()) {
            return Pick::Wait(self.not_before);
        }
        self.opening = true;
        Pick::Open
    }

    /// A process with its first task.
    fn seat(&mut self, inbox: mpsc::Sender<Order>, limits: Limits) -> u64 {
        let id = self.next;
        self.next += 1;
        self.seats.insert(id, Seat { inbox, limits, running: 1, waiting: 0, leaving: false });
        id
    }

    fn died(&mut self) {
        let now = Instant::now();
        self.deaths.push_back(now);
        while self.deaths.front().is_some_and(|at| now.duration_since(*at) > DEATH_WINDOW) {
            self.deaths.pop_front();
        }
        if self.deaths.len() >= DEATHS_MAX {
            let text = format!("its process died {DEATHS_MAX} times within a minute");
            self.refusal.get_or_insert_with(|| AgentError::failed("withdrawn", text));
        }
        let doubled = BACKOFF_MIN.saturating_mul(1 << self.streak.min(16));
        self.not_before = Some(now + doubled.min(BACKOFF_MAX));
        self.streak += 1;
    }
}

/// Lets the next one open a process, also if this one was dropped.
struct Opening<'a>(&'a Pool);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.state().opening = false;
        self.0.changed.notify_waiters();
    }
}

/// One task's place in a process, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    pool: Arc<Pool>,
    seat: u64,
    joins: usize,
    waiting: watch::Sender<bool>,
}

impl Place {
    fn new(pool: &Arc<Pool>, seat: u64) -> Self {
        Self { pool: Arc::clone(pool), seat, joins: 0, waiting: watch::Sender::new(false) }
    }

    /// Whether the task waits for children.
    pub(super) fn waiting(&self) -> watch::Receiver<bool> {
        self.waiting.subscribe()
    }

    pub(super) fn join_begins(&mut self) {
        self.joins += 1;
        if self.joins == 1 {
            self.waiting.send_replace(true);
            self.pool.change(self.seat, |seat| {
                seat.running -= 1;
                seat.waiting += 1;
            });
        }
    }

    pub(super) fn join_ends(&mut self) {
        self.joins -= 1;
        if self.joins == 0 {
            self.waiting.send_replace(false);
            self.pool.change(self.seat, |seat| {
                seat.running += 1;
                seat.waiting -= 1;
            });
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let waits = self.joins > 0;
        self.pool.change(self.seat, |seat| {
            if waits {
                seat.waiting -= 1;
            } else {
                seat.running -= 1;
            }
        });
    }
}
