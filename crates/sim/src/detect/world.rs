use core::time::Duration;

use formic_core::{Time, transport::Class};

use super::{
    Act, Detector, Input, LASTING, LONG, Seat, Setting,
    network::{Agenda, Due, Mail, Network, is_reliable},
    opinions::{Claim, Opinions},
};

/// What a process is able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Running {
    /// Not started, or stalled: input is queued.
    Not,
    Yes,
    /// For good.
    Dead,
}

#[derive(Debug)]
struct Process<D> {
    detector: D,
    running: Running,
    /// When the earliest planned `Due::Deadline` comes.
    armed: Option<Time>,
    /// Slots that arrived while it did not run.
    inbox: Vec<u32>,
    sent: u64,
    stalls: u64,
    outages: u64,
    outage_until: Time,
}

/// What was seen since the warm-up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) refused: u64,
    /// Stalls and outages that began.
    pub(crate) pauses: u64,
    /// Those longer than [`LONG`].
    pub(crate) long_pauses: u64,
    /// Those longer than [`LASTING`].
    pub(crate) lasting_pauses: u64,
    /// Sum over all peers of the time they lived, in microseconds.
    pub(crate) lived_us: u64,
}

/// All processes, what is under way between them, and the truth.
#[derive(Debug)]
pub(crate) struct World<D: Detector> {
    setting: Setting,
    network: Network,
    agenda: Agenda,
    mail: Mail<D::Message>,
    processes: Vec<Process<D>>,
    pub(crate) opinions: Opinions,
    pub(crate) traffic: Traffic,
    now: Time,
    /// Reused by every input.
    out: Vec<Act<D::Message>>,
}

impl<D: Detector> World<D> {
    pub(crate) fn new(setting: &Setting, make: impl Fn(Seat) -> D) -> Self {
        let (peers, seed) = (setting.peers, setting.seed);
        let network = Network::new(setting);
        let mut agenda = Agenda::default();
        let process = |peer| Process {
            detector: make(Seat { peer, peers, seed }),
            running: Running::Not,
            armed: None,
            inbox: vec![],
            sent: 0,
            stalls: 0,
            outages: 0,
            outage_until: Time::ZERO,
        };
        (0..peers).for_each(|peer| agenda.plan(network.start(peer), peer, Due::Start));
        Self {
            setting: setting.clone(),
            network,
            agenda,
            mail: Mail::new(),
            processes: (0..peers).map(process).collect(),
            opinions: Opinions::new(peers),
            traffic: Traffic::default(),
            now: Time::ZERO,
            out: vec![],
        }
    }

    /// Forgets what was counted until now.
    pub(crate) fn count_from_here(&mut self) {
        self.traffic = Traffic::default();
        self.opinions.forget_false();
    }

    pub(crate) fn plan_crash(&mut self, at: Time, peer: usize) {
        self.agenda.plan(at, peer, Due::Crash);
    }

    pub(crate) const fn now(&self) -> Time {
        self.now
    }

    pub(crate) fn run_until(&mut self, end: Time) {
        while let Some((at, peer, due)) = self.agenda.next(end) {
            self.pass_to(at);
            match due {
                Due::Message(slot) => self.arrive(peer, slot),
                Due::Deadline => self.ring(peer),
                Due::Start => self.start(peer),
                Due::Stall => self.stall(peer),
                Due::Resume => self.resume(peer),
                Due::Outage => self.outage(peer),
                Due::Crash => self.crash(peer),
            }
        }
        self.pass_to(end);
    }

    fn pass_to(&mut self, at: Time) {
        let passed = at.since(self.now).as_micros();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.traffic.lived_us += passed * self.opinions.live() as u64;
        self.now = at;
    }

    fn start(&mut self, peer: usize) {
        self.processes[peer].running = Running::Yes;
        self.with(peer, |detector, now, out| detector.handle(now, Input::Start, out));
        self.take_inbox(peer);
        self.plan_stall(peer);
        self.plan_outage(peer);
    }

    fn arrive(&mut self, peer: usize, slot: u32) {
        match self.processes[peer].running {
            Running::Yes => self.hand_over(peer, slot),
            Running::Not => self.processes[peer].inbox.push(slot),
            Running::Dead => self.mail.release(slot),
        }
    }

    fn hand_over(&mut self, peer: usize, slot: u32) {
        if let Some((from, message)) = self.mail.read(slot) {
            let input = Input::Message { from, message };
            self.processes[peer].detector.handle(self.now, input, &mut self.out);
        }
        self.mail.release(slot);
        self.act(peer);
        self.arm(peer);
    }

    fn take_inbox(&mut self, peer: usize) {
        let inbox = core::mem::take(&mut self.processes[peer].inbox);
        inbox.into_iter().for_each(|slot| self.hand_over(peer, slot));
    }

    fn ring(&mut self, peer: usize) {
        let process = &mut self.processes[peer];
        if process.armed != Some(self.now) {
            return; // It asked for an earlier time since.
        }
        process.armed = None;
        if process.running == Running::Yes {
            self.deadline(peer);
        }
    }

    fn deadline(&mut self, peer: usize) {
        let due = self.processes[peer].detector.deadline().is_some_and(|at| at <= self.now);
        if due {
            self.with(peer, |detector, now, out| detector.handle(now, Input::Deadline, out));
        } else {
            self.arm(peer);
        }
    }

    fn with(&mut self, peer: usize, feed: impl FnOnce(&mut D, Time, &mut Vec<Act<D::Message>>)) {
        feed(&mut self.processes[peer].detector, self.now, &mut self.out);
        self.act(peer);
        self.arm(peer);
    }

    /// Makes sure that an event is planned for the time the detector asks for.
    fn arm(&mut self, peer: usize) {
        let process = &mut self.processes[peer];
        let Some(wanted) = process.detector.deadline() else { return };
        // A detector that asks for the past again and again must not stop time.
        let at = wanted.max(self.now + Duration::from_micros(1));
        if process.armed.is_none_or(|armed| at < armed) {
            process.armed = Some(at);
            self.agenda.plan(at, peer, Due::Deadline);
        }
    }

    fn act(&mut self, peer: usize) {
        let mut out = core::mem::take(&mut self.out);
        for act in out.drain(..) {
            match act {
                Act::Send { to, class, message } => self.send(peer, to, class, message),
                Act::Broadcast { message } => self.broadcast(peer, message),
                Act::Up { peer: subject } => {
                    self.opinions.hold_dead(self.now, peer, subject, Claim::Withdrawn);
                }
                Act::Down { peer: subject } => {
                    self.opinions.hold_dead(self.now, peer, subject, Claim::Made);
                }
                Act::Evicted { peer: subject } => {
                    self.opinions.hold_gone(self.now, peer, subject, Claim::Made);
                }
                Act::Admitted { peer: subject } => {
                    self.opinions.hold_gone(self.now, peer, subject, Claim::Withdrawn);
                }
                Act::Refused => self.traffic.refused += 1,
            }
        }
        self.out = out;
    }

    fn send(&mut self, from: usize, to: usize, class: Class, message: D::Message) {
        let number = self.number(from);
        let bytes = D::size(&message) as u64;
        let (arrival, tries) = if is_reliable(class) {
            let blocked = self.blocked(from).max(self.blocked(to));
            let (at, tries) = self.network.reliable(self.now, (from, to), number, blocked);
            (Some(at), tries)
        } else {
            (self.unreliable((from, to), number), 1)
        };
        self.traffic.messages += tries;
        self.traffic.bytes += bytes * tries;
        if let Some(at) = arrival {
            let slot = self.mail.post(from, message, 1);
            self.agenda.plan(at, to, Due::Message(slot));
        }
    }

    fn broadcast(&mut self, from: usize, message: D::Message) {
        let number = self.number(from);
        let receivers = self.processes.len() - 1;
        self.traffic.messages += receivers as u64;
        self.traffic.bytes += receivers as u64 * D::size(&message) as u64;
        let slot = self.mail.post(from, message, receivers);
        for to in (0..self.processes.len()).filter(|&to| to != from) {
            match self.unreliable((from, to), number) {
                Some(at) => self.agenda.plan(at, to, Due::Message(slot)),
                None => self.mail.release(slot),
            }
        }
    }

    fn number(&mut self, from: usize) -> u64 {
        self.processes[from].sent += 1;
        self.processes[from].sent
    }

    fn unreliable(&self, (from, to): (usize, usize), number: u64) -> Option<Time> {
        if self.blocked(from) > Duration::ZERO || self.blocked(to) > Duration::ZERO {
            return None;
        }
        self.network.unreliable(self.now, (from, to), number)
    }

    fn blocked(&self, peer: usize) -> Duration {
        self.processes[peer].outage_until.since(self.now)
    }

    fn plan_stall(&mut self, peer: usize) {
        let Some(stalls) = self.setting.stalls else { return };
        let what = [peer as u64, self.processes[peer].stalls];
        let after = self.network.span("stall after", &what, stalls.every);
        self.agenda.plan(self.now + after, peer, Due::Stall);
    }

    fn stall(&mut self, peer: usize) {
        let Some(stalls) = self.setting.stalls else { return };
        let process = &mut self.processes[peer];
        if process.running == Running::Dead {
            return;
        }
        process.running = Running::Not;
        let span = self.network.span("stall", &[peer as u64, process.stalls], stalls.mean);
        process.stalls += 1;
        self.count_pause(span);
        self.agenda.plan(self.now + span, peer, Due::Resume);
    }

    fn resume(&mut self, peer: usize) {
        if self.processes[peer].running == Running::Dead {
            return;
        }
        self.processes[peer].running = Running::Yes;
        self.take_inbox(peer);
        self.deadline(peer);
        self.plan_stall(peer);
    }

    fn plan_outage(&mut self, peer: usize) {
        let Some(outages) = self.setting.outages else { return };
        let process = &self.processes[peer];
        let what = [peer as u64, process.outages];
        let after = self.network.span("outage after", &what, outages.every);
        self.agenda.plan(self.now.max(process.outage_until) + after, peer, Due::Outage);
    }

    fn outage(&mut self, peer: usize) {
        let Some(outages) = self.setting.outages else { return };
        let process = &mut self.processes[peer];
        let span = self.network.span("outage", &[peer as u64, process.outages], outages.mean);
        process.outages += 1;
        process.outage_until = self.now + span;
        self.count_pause(span);
        self.plan_outage(peer);
    }

    fn count_pause(&mut self, span: Duration) {
        self.traffic.pauses += 1;
        self.traffic.long_pauses += u64::from(span > LONG);
        self.traffic.lasting_pauses += u64::from(span > LASTING);
    }

    fn crash(&mut self, peer: usize) {
        let process = &mut self.processes[peer];
        if process.running == Running::Dead {
            return;
        }
        process.running = Running::Dead;
        let inbox = core::mem::take(&mut process.inbox);
        inbox.into_iter().for_each(|slot| self.mail.release(slot));
        self.opinions.crash(self.now, peer);
    }
}
