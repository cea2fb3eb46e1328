//! The client's one loop: a contact, and what is asked of it.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use formic_completion::Verdict;
use formic_core::{
    Descriptor, Digest, Epoch, JobId, Life, PeerId, Time, View, earliest,
    transport::{Address, CloseReason, ConnectError, Event as LinkEvent, Transport},
};
use formic_node::{Message, Reply, Request as Question, Status, TrailStatus};
use tokio::sync::{mpsc, oneshot};

use super::{ClientError, ClientJob};
use crate::{
    clock::Clock,
    driver::{Arrival, Wire},
};

/// After a round in which nobody answered.
const PAUSE: Duration = Duration::from_millis(200);
/// A dial gets so long before the next candidate is tried beside it: a dead peer's never answers.
const STAGGER: Duration = Duration::from_millis(250);
/// While something is awaited, the contact is asked for its status so often: a link to a process that
/// was killed stays up until it idles out.
const ASK: Duration = Duration::from_millis(500);
/// A contact silent for so long is given up.
const SILENCE: Duration = Duration::from_millis(1_500);
/// Without a contact for so long, requests fail.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same if somebody answered and one of the two certificates was refused; others may answer meanwhile.
const FLAWED_PATIENCE: Duration = Duration::from_secs(2);
/// How many members must not know a job before it counts as unknown: a home peer may be the last one asked.
const UNKNOWN_MAX: usize = 8;
/// Verdicts kept for a `wait` that comes later.
const KEPT: usize = 1_024;

type To<T> = oneshot::Sender<Result<T, ClientError>>;

/// What the user asks.
pub(super) enum Request {
    Submit { root: Arc<Descriptor>, plan: Digest, reply: To<ClientJob> },
    Wait { job: ClientJob, reply: To<Arc<Verdict>> },
    Status { reply: To<Arc<Status>> },
    Trails { reply: To<Vec<TrailStatus>> },
    Cancel { job: JobId, reason: String, reply: To<()> },
    Force { members: Vec<PeerId>, epoch: Epoch, reason: String, reply: To<Arc<View>> },
    Leave { peer: PeerId, address: Address, reply: To<()> },
}

pub(super) struct Session {
    wire: Wire,
    clock: Clock,
    requests: mpsc::Receiver<Request>,
    seeds: Vec<Address>,
    /// Members that were heard of, with their addresses.
    known: BTreeMap<PeerId, Vec<Address>>,
    /// Whom requests go to.
    contact: Option<Life>,
    /// Whom to dial before a new round begins.
    candidates: VecDeque<(Option<PeerId>, Vec<Address>)>,
    next_dial: Option<Time>,
    /// When the contact is asked again whether it is there.
    next_ask: Option<Time>,
    /// When the contact was heard last.
    heard: Time,
    /// The contact before: asked last.
    lost: Option<PeerId>,
    /// Since when there has been no contact.
    alone_since: Time,
    /// Why somebody who answered is no contact: a certificate, which time does not mend.
    flawed: Option<ConnectError>,
    next_request: u64,
    submitted: BTreeMap<u64, To<ClientJob>>,
    waits: BTreeMap<JobId, Wait>,
    statuses: Vec<To<Arc<Status>>>,
    trails: Vec<To<Vec<TrailStatus>>>,
    /// Who waits for a forced view.
    forcing: Vec<To<Arc<View>>>,
    /// Asked while there was no contact.
    held: Vec<Request>,
    leaving: BTreeMap<PeerId, Vec<To<()>>>,
    over: VecDeque<(JobId, Arc<Verdict>)>,
    closed: bool,
}

#[derive(Default)]
struct Wait {
    home: Vec<Life>,
    replies: Vec<To<Arc<Verdict>>>,
    unknown: usize,
}

impl Session {
    pub(super) fn new(
        transport: Arc<dyn Transport<Message>>,
        seeds: Vec<Address>,
        requests: mpsc::Receiver<Request>,
    ) -> Self {
        let clock = Clock::start();
        let candidates = seeds.iter().map(|seed| (None, vec![seed.clone()])).collect();
        Self {
            wire: Wire::new(transport),
            clock,
            requests,
            seeds,
            known: BTreeMap::new(),
            contact: None,
            candidates,
            lost: None,
            next_dial: Some(clock.now()),
            next_ask: None,
            heard: clock.now(),
            alone_since: clock.now(),
            flawed: None,
            next_request: 0,
            submitted: BTreeMap::new(),
            waits: BTreeMap::new(),
            statuses: Vec::new(),
            trails: Vec::new(),
            forcing: Vec::new(),
            held: Vec::new(),
            leaving: BTreeMap::new(),
            over: VecDeque::new(),
            closed: false,
        }
    }

    /// Runs until the client is dropped or its transport shut down.
    pub(super) async fn run(mut self) {
        while !self.closed {
            tokio::select! {
                arrival = self.wire.next() => self.on_arrival(arrival),
                request = self.requests.recv() => match request {
                    Some(request) => self.on_request(request),
                    None => self.closed = true,
                },
                () = self.clock.until(earliest(self.next_dial, self.next_ask)) => self.on_deadline(),
            }
            self.wire.flush();
        }
    }

    fn on_deadline(&mut self) {
        let now = self.clock.now();
        if self.next_dial.is_some_and(|at| at <= now) {
            self.dial_next();
        }
        if self.next_ask.is_some_and(|at| at <= now) {
            self.ask_contact(now);
        }
    }

    /// Whether somebody waits for an answer of the contact.
    fn awaits(&self) -> bool {
        !(self.waits.is_empty()
            && self.submitted.is_empty()
            && self.statuses.is_empty()
            && self.trails.is_empty()
            && self.forcing.is_empty())
    }

    fn ask_contact(&mut self, now: Time) {
        self.next_ask = None;
        let Some(contact) = self.contact else { return };
        if !self.awaits() {
            self.heard = now; // Nobody asked it anything: its silence means nothing.
        } else if now.since(self.heard) >= SILENCE {
            self.wire.hang_up(contact, CloseReason::Lost);
            return self.on_lost(contact);
        } else {
            self.wire.send(contact, Message::Request(Question::Status));
        }
        self.next_ask = Some(now + ASK);
    }

    fn on_request(&mut self, request: Request) {
        match request {
            Request::Leave { peer, address, reply } => self.on_leave(peer, address, reply),
            Request::Wait { job, reply } => self.on_wait(job, reply),
            other => match self.contact {
                Some(contact) => self.pass_on(contact, other),
                None => self.held.push(other),
            },
        }
    }

    /// To the contact.
    fn pass_on(&mut self, contact: Life, request: Request) {
        let question = match request {
            Request::Submit { root, plan, reply } => {
                let request = self.next_request;
                self.next_request += 1;
                self.submitted.insert(request, reply);
                Question::Submit { request, root, plan }
            }
            Request::Status { reply } => {
                self.statuses.push(reply);
                Question::Status
            }
            Request::Trails { reply } => {
                self.trails.push(reply);
                Question::Trails
            }
            Request::Cancel { job, reason, reply } => {
                drop(reply.send(Ok(())));
                Question::Cancel { job, reason }
            }
            Request::Force { members, epoch, reason, reply } => {
                self.forcing.push(reply);
                Question::ForceView { members, epoch, reason }
            }
            // These two never wait for a contact.
            Request::Wait { job, reply } => return self.on_wait(job, reply),
            Request::Leave { peer, address, reply } => return self.on_leave(peer, address, reply),
        };
        self.wire.send(contact, Message::Request(question));
    }

    fn on_wait(&mut self, job: ClientJob, reply: To<Arc<Verdict>>) {
        if let Some((_, verdict)) = self.over.iter().find(|(over, _)| *over == job.job) {
            // Whoever dropped the call needs no answer; so everywhere below.
            drop(reply.send(Ok(Arc::clone(verdict))));
            return;
        }
        let wait = self.waits.entry(job.job).or_default();
        if wait.home.is_empty() {
            wait.home = job.home;
        }
        wait.replies.push(reply);
        if let Some(contact) = self.contact {
            self.wire.send(contact, Message::Request(Question::Watch { job: job.job }));
        }
    }

    fn on_leave(&mut self, peer: PeerId, address: Address, reply: To<()>) {
        self.leaving.entry(peer).or_default().push(reply);
        match self.wire.link_to(peer) {
            Some(life) => self.wire.send(life, Message::Request(Question::Leave)),
            None => self.wire.dial(Some(peer), vec![address]),
        }
    }

    fn on_arrival(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Events(events) => events.into_iter().for_each(|event| self.on_link(event)),
            Arrival::DialFailed(failed) => {
                let leaving = failed.peer.and_then(|peer| self.leaving.remove(&peer));
                for reply in leaving.into_iter().flatten() {
                    let addresses = failed.addresses.clone();
                    drop(reply.send(Err(ClientError::Unreachable { addresses })));
                }
                if failed.error.flaw().is_some() {
                    self.flawed = Some(failed.error);
                }
                if self.contact.is_none() {
                    self.dial_next();
                }
            }
            // A client asks no sources.
            Arrival::Found(_) => {}
            Arrival::Closed => self.closed = true,
        }
    }

    fn on_link(&mut self, event: LinkEvent<Message>) {
        match event {
            LinkEvent::Up { link, peer, .. } => {
                self.wire.on_up(link, peer);
                self.on_up(peer);
            }
            LinkEvent::Message { link, message: Message::Reply(reply), .. } => {
                if let Some(from) = self.wire.life_of(link) {
                    self.heard = self.clock.now();
                    self.on_reply(from, reply);
                }
            }
            // A client is no member: what members say to each other is not for it.
            LinkEvent::Message { .. } => {}
            LinkEvent::Writable { link, class } => self.wire.on_writable(link, class),
            LinkEvent::Down { link, .. } => {
                if let Some(life) = self.wire.on_down(link) {
                    self.on_down(life);
                }
            }
        }
    }

    fn on_up(&mut self, life: Life) {
        if self.leaving.contains_key(&life.peer) {
            self.wire.send(life, Message::Request(Question::Leave));
        }
        if self.contact.is_some() {
            return;
        }
        self.contact = Some(life);
        self.flawed = None;
        self.next_dial = None;
        self.heard = self.clock.now();
        self.next_ask = Some(self.heard + ASK);
        // Learns the other members' addresses, for the day on which this one dies; answers who asked meanwhile, too.
        self.wire.send(life, Message::Request(Question::Status));
        let jobs: Vec<JobId> = self.waits.keys().copied().collect();
        for job in jobs {
            self.wire.send(life, Message::Request(Question::Watch { job }));
        }
        for request in core::mem::take(&mut self.held) {
            self.pass_on(life, request);
        }
    }

    fn on_down(&mut self, life: Life) {
        for reply in self.leaving.remove(&life.peer).into_iter().flatten() {
            drop(reply.send(Ok(())));
        }
        self.on_lost(life);
    }

    /// If this was the contact, another one is looked for.
    fn on_lost(&mut self, life: Life) {
        if self.contact != Some(life) {
            return;
        }
        self.contact = None;
        self.next_ask = None;
        self.lost = Some(life.peer);
        self.alone_since = self.clock.now();
        for (_, reply) in core::mem::take(&mut self.submitted) {
            drop(reply.send(Err(ClientError::ContactLost)));
        }
        for reply in core::mem::take(&mut self.forcing) {
            drop(reply.send(Err(ClientError::ContactLost)));
        }
        self.begin_round();
        self.dial_next();
    }

    fn on_reply(&mut self, from: Life, reply: Reply) {
        match reply {
            Reply::Accepted { request, job, home } => {
                if let Some(reply) = self.submitted.remove(&request) {
                    drop(reply.send(Ok(ClientJob { job, home })));
                }
                // The home peers' addresses.
                self.wire.send(from, Message::Request(Question::Status));
            }
            Reply::Refused { request, reason } => {
                if let Some(reply) = self.submitted.remove(&request) {
                    drop(reply.send(Err(ClientError::Refused { reason })));
                }
            }
            Reply::Verdict { job, decree, certificate } => {
                let (decree, certificate) = ((*decree).clone(), (*certificate).clone());
                self.on_verdict(job, &Arc::new(Verdict { decree, certificate }));
            }
            Reply::Unknown { job } => self.on_unknown(from, job),
            Reply::Status(status) => self.on_status(&status),
            Reply::Trails(trails) => {
                for reply in core::mem::take(&mut self.trails) {
                    drop(reply.send(Ok(trails.clone())));
                }
            }
            Reply::Forced { view } => {
                for reply in core::mem::take(&mut self.forcing) {
                    drop(reply.send(Ok(Arc::clone(&view))));
                }
            }
            Reply::ForceRefused { reason } => {
                for reply in core::mem::take(&mut self.forcing) {
                    drop(reply.send(Err(ClientError::ForceRefused { reason: reason.clone() })));
                }
            }
        }
    }

    fn on_verdict(&mut self, job: JobId, verdict: &Arc<Verdict>) {
        let wait = self.waits.remove(&job);
        for reply in wait.into_iter().flat_map(|wait| wait.replies) {
            drop(reply.send(Ok(Arc::clone(verdict))));
        }
        if !self.over.iter().any(|(over, _)| *over == job) {
            if self.over.len() == KEPT {
                self.over.pop_front();
            }
            self.over.push_back((job, Arc::clone(verdict)));
        }
    }

    /// Another member may know it.
    fn on_unknown(&mut self, from: Life, job: JobId) {
        let Some(wait) = self.waits.get_mut(&job) else { return };
        wait.unknown += 1;
        let asked = self.known.len().max(1);
        if wait.unknown >= asked.min(UNKNOWN_MAX) {
            let wait = self.waits.remove(&job);
            for reply in wait.into_iter().flat_map(|wait| wait.replies) {
                drop(reply.send(Err(ClientError::UnknownJob { job })));
            }
        } else if self.contact == Some(from) {
            self.wire.hang_up(from, CloseReason::Closed);
        }
    }

    fn on_status(&mut self, status: &Arc<Status>) {
        for member in &status.members {
            if matches!(member.state.as_str(), "down" | "left") {
                self.known.remove(&member.life.peer);
            } else {
                self.known.insert(member.life.peer, member.addresses.clone());
            }
        }
        for reply in core::mem::take(&mut self.statuses) {
            drop(reply.send(Ok(Arc::clone(status))));
        }
    }

    /// Home peers first, then whoever is known, then the seeds; the last contact last.
    fn begin_round(&mut self) {
        let homes = self.waits.values().flat_map(|wait| wait.home.iter().map(|life| life.peer));
        let mut order: Vec<PeerId> = homes.collect();
        order.extend(self.known.keys().copied());
        let mut seen = BTreeSet::new();
        order.retain(|peer| seen.insert(*peer));
        order.sort_by_key(|peer| self.lost == Some(*peer));
        self.candidates = (order.into_iter())
            .filter_map(|peer| Some((Some(peer), self.known.get(&peer)?.clone())))
            .chain(self.seeds.iter().map(|seed| (None, vec![seed.clone()])))
            .collect();
    }

    fn dial_next(&mut self) {
        self.next_dial = None;
        if self.contact.is_some() {
            return;
        }
        let now = self.clock.now();
        if let Some((peer, addresses)) = self.candidates.pop_front() {
            self.wire.dial(peer, addresses);
            self.next_dial = Some(now + STAGGER);
            return;
        }
        // A certificate that is not taken will not be taken later.
        let patience = if self.flawed.is_some() { FLAWED_PATIENCE } else { PATIENCE };
        if now.since(self.alone_since) >= patience {
            self.give_up();
        }
        self.begin_round();
        self.next_dial = Some(now + PAUSE);
    }

    /// All that wait for a contact are told that there is none.
    fn give_up(&mut self) {
        let flawed = self.flawed.take();
        let unreachable = || match &flawed {
            Some(error) => ClientError::Connect(error.clone()),
            None => ClientError::Unreachable { addresses: self.seeds.clone() },
        };
        for wait in core::mem::take(&mut self.waits).into_values() {
            for reply in wait.replies {
                drop(reply.send(Err(unreachable())));
            }
        }
        for reply in core::mem::take(&mut self.statuses) {
            drop(reply.send(Err(unreachable())));
        }
        for reply in core::mem::take(&mut self.trails) {
            drop(reply.send(Err(unreachable())));
        }
        for request in core::mem::take(&mut self.held) {
            match request {
                Request::Submit { reply, .. } => drop(reply.send(Err(unreachable()))),
                Request::Wait { reply, .. } => drop(reply.send(Err(unreachable()))),
                Request::Status { reply } => drop(reply.send(Err(unreachable()))),
                Request::Trails { reply } => drop(reply.send(Err(unreachable()))),
                Request::Force { reply, .. } => drop(reply.send(Err(unreachable()))),
                Request::Cancel { reply, .. } | Request::Leave { reply, .. } => {
                    drop(reply.send(Err(unreachable())));
                }
            }
        }
    }
}
