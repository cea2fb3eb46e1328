//! Links as transport.md permits them: ordered and whole per reliable class while they live, cut short
//! at `Down`, up at one end before the other or at one end only, stalled by a cut and then lost.

use core::time::Duration;
use std::collections::VecDeque;

use formic_core::{
    Life, PeerId, Time,
    transport::{Address, Class, CloseReason},
};
use formic_node::{Input, Message};

use super::{
    glue::is_work,
    world::{What, World},
};
use crate::{engine::Detail, marks::Mark};

/// A dial to somebody who does not answer ends after this.
const DIAL_TIMEOUT: u64 = 1_000_000;
/// A link over which nothing comes is given up after 2 to 3 s.
const IDLE: (u64, u64) = (2_000_000, 1_000_000);
/// How long a link may be up at one end while the other end never was.
const HELLO: u64 = 1_500_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndState {
    Opening,
    Up,
    Down,
}

#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) host: usize,
    pub(super) born: u64,
    pub(super) life: Life,
    pub(super) state: EndState,
    /// When the latest message sent from here arrives, by reliable class.
    last: [Time; 3],
    sent: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) ends: [End; 2],
    /// Both ends are in one process.
    shared: bool,
    /// Reliable messages that a cut holds up, by the end that sent them.
    stalled: [VecDeque<Message>; 2],
}

/// All links there were, and which one each pair uses.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    pub(super) all: Vec<Link>,
    table: Vec<Option<usize>>,
    peers: usize,
}

impl Links {
    pub(super) fn new(peers: usize) -> Self {
        Self { all: vec![], table: vec![None; peers * peers], peers }
    }

    /// The link that `host` has, or opens, to `other`.
    pub(super) fn of(&self, host: usize, other: usize) -> Option<usize> {
        self.table[host * self.peers + other]
    }

    fn set(&mut self, host: usize, other: usize, link: Option<usize>) {
        self.table[host * self.peers + other] = link;
    }

    fn side(&self, link: usize, host: usize) -> usize {
        usize::from(self.all[link].ends[0].host != host)
    }
}

const fn slot(class: Class) -> Option<usize> {
    match class {
        Class::Control => Some(0),
        Class::Data => Some(1),
        Class::Bulk => Some(2),
        Class::Unreliable => None,
    }
}

impl World<'_> {
    /// Sends over the link to a life; dropped where none is up.
    pub(super) fn send(&mut self, host: usize, to: Life, message: Message) {
        let Some(&other) = self.of_peer.get(&to.peer) else { return };
        let Some(link) = self.links.of(host, other) else { return };
        let side = self.links.side(link, host);
        let ends = &self.links.all[link].ends;
        if ends[side].state == EndState::Up && ends[1 - side].life == to {
            self.transmit(link, side, message);
        }
    }

    fn transmit(&mut self, link: usize, side: usize, message: Message) {
        self.report.messages += 1;
        self.goal.work += u64::from(is_work(&message));
        let class = slot(message.class());
        let Link { ends, shared, stalled } = &mut self.links.all[link];
        let (from, to, shared) = (ends[side].host, ends[1 - side].host, *shared);
        ends[side].sent += 1;
        let id = [from as u64, ends[side].born, to as u64, ends[1 - side].born, ends[side].sent];
        if !shared && self.sky.is_cut(from, to) {
            if class.is_some() {
                stalled[side].push_back(message);
            }
            return;
        }
        let lost = !shared && self.sky.loss > 0 && self.draw.chance("lost", &id, self.sky.loss);
        if lost && class.is_none() {
            return;
        }
        let mut delay = if shared {
            20 + self.draw.below("local", &id, 60)
        } else {
            self.plan.delay + self.draw.below("way", &id, self.plan.jitter)
        };
        if lost {
            // Sent again, perhaps more than once.
            delay += 15_000 << self.draw.below("resent", &id, 5);
        }
        if !shared && self.draw.chance("late", &id, self.sky.late.0) {
            delay += self.draw.below("lateness", &id, self.sky.late.1);
        }
        if class.is_none() && !shared && self.draw.chance("overtaken", &id, self.sky.reorder) {
            delay += self.draw.below("behind", &id, 300_000);
        }
        let mut at = self.now + Duration::from_micros(delay);
        if let Some(class) = class {
            let last = &mut self.links.all[link].ends[side].last[class];
            at = at.max(*last + Duration::from_micros(1));
            *last = at;
        }
        self.queue.push(at, What::Arrive { link, side: 1 - side, message });
    }

    pub(super) fn arrive(&mut self, link: usize, side: usize, message: Message) {
        let Link { ends, .. } = &self.links.all[link];
        let (host, from, state) = (ends[side].host, ends[1 - side].life, ends[side].state);
        if state == EndState::Up {
            self.give(host, Input::Message { from, message });
        } else if message.class() != Class::Unreliable {
            self.reach(Mark::LinkLost);
        }
    }

    /// Opens a link, or finds that there is one.
    pub(super) fn dial(&mut self, host: usize, peer: Option<PeerId>, addresses: Vec<Address>) {
        self.report.dials += 1;
        self.try_address(host, (peer, addresses), 0);
    }

    fn try_address(
        &mut self,
        host: usize,
        (peer, addresses): (Option<PeerId>, Vec<Address>),
        index: usize,
    ) {
        let born = self.hosts[host].born;
        let Some(address) = addresses.get(index) else {
            self.give(host, Input::DialFailed { peer, addresses });
            return;
        };
        let target = target(address).filter(|target| *target < self.hosts.len());
        self.dials += 1;
        let what =
            [host as u64, born, target.unwrap_or(0) as u64, self.hosts[host].commits, self.dials];
        let (wait, timed_out) = match target {
            Some(target) if target == host => (50, false),
            Some(target) if self.is_reachable(host, target) => {
                (2 * self.plan.delay + self.draw.below("dial", &what, 3_000), false)
            }
            // A host that is up but has no process there says so, at times.
            Some(target)
                if !self.hosts[target].is_running() && self.draw.chance("says", &what, 400) =>
            {
                (2 * self.plan.delay, true)
            }
            _ => (DIAL_TIMEOUT, true),
        };
        let at = self.now + Duration::from_micros(wait);
        let dial = Dial { host, born, peer, addresses, index, fails: timed_out };
        self.queue.push(at, What::Dialled(Box::new(dial)));
    }

    fn is_reachable(&self, host: usize, target: usize) -> bool {
        let there = &self.hosts[target];
        let cut = self.sky.is_cut(host, target) || self.sky.is_cut(target, host);
        there.is_running() && there.frozen.is_none() && !cut
    }

    pub(super) fn dialled(&mut self, dial: Dial) {
        let Dial { host, born, peer, addresses, index, fails } = dial;
        if !self.hosts[host].is(born) {
            return;
        }
        let there = addresses.get(index).and_then(target).filter(|there| *there < self.hosts.len());
        let good = |there: &usize| {
            *there != host
                && !fails
                && self.is_reachable(host, *there)
                && peer.is_none_or(|peer| self.hosts[*there].life.peer == peer)
        };
        match there.filter(good) {
            Some(there) => self.connect(host, there),
            None => {
                if fails {
                    self.reach(Mark::DialTimedOut);
                }
                self.try_address(host, (peer, addresses), index + 1);
            }
        }
    }

    /// Both are there: they have a link, or get one.
    fn connect(&mut self, dialer: usize, acceptor: usize) {
        let (dialer_born, acceptor_born) = (self.hosts[dialer].born, self.hosts[acceptor].born);
        if let Some(link) = self.links.of(dialer, acceptor) {
            let side = self.links.side(link, acceptor);
            if self.links.all[link].ends[side].born == acceptor_born {
                if self.links.all[link].ends[1 - side].state == EndState::Opening {
                    self.reach(Mark::DoubleDial);
                }
                return;
            }
        }
        let link = self.links.all.len();
        let what = [dialer as u64, dialer_born, acceptor as u64, acceptor_born, self.dials];
        let end = |host: usize, born| End {
            host,
            born,
            life: self.hosts[host].life,
            state: EndState::Opening,
            last: [Time::ZERO; 3],
            sent: 0,
        };
        let mut ends = [end(dialer, dialer_born), end(acceptor, acceptor_born)];
        let shared = self.hosts[dialer].peer.process == self.hosts[acceptor].peer.process;
        let half = !shared && self.draw.chance("half", &what, self.sky.half);
        let missing = half.then(|| self.draw.index("which", &what, 2));
        let mut ups = [self.now; 2];
        for (side, up) in ups.iter_mut().enumerate() {
            let wait = self.draw.below("up", &[&what[..], &[side as u64]].concat(), 2_000);
            *up = self.now + Duration::from_micros(2 + wait);
            // Nothing arrives at an end before it is up.
            ends[1 - side].last = [*up; 3];
        }
        let stalled = [VecDeque::new(), VecDeque::new()];
        self.links.all.push(Link { ends, shared, stalled });
        for (side, up) in ups.into_iter().enumerate() {
            let (host, other) = if side == 0 { (dialer, acceptor) } else { (acceptor, dialer) };
            self.replace(host, other, up);
            if missing == Some(side) {
                self.links.all[link].ends[side].state = EndState::Down;
                let at = up + Duration::from_micros(self.draw.below("hello", &what, HELLO));
                let reason = CloseReason::HelloTimeout;
                self.queue.push(at, What::Down { link, side: 1 - side, reason });
                self.reach(Mark::OneSideUp);
                continue;
            }
            self.links.set(host, other, Some(link));
            self.queue.push(up, What::Up { link, side });
        }
    }

    /// A new link takes the place of an old one: to an older life, or to one that gave its end up.
    fn replace(&mut self, host: usize, other: usize, up: Time) {
        let Some(old) = self.links.of(host, other) else { return };
        let side = self.links.side(old, host);
        let is_older = self.links.all[old].ends[1 - side].life != self.hosts[other].life;
        let reason = if is_older { CloseReason::PeerRestarted } else { CloseReason::Duplicate };
        let end = &mut self.links.all[old].ends[side];
        if end.state == EndState::Opening {
            end.state = EndState::Down;
        }
        let at = up - Duration::from_micros(1);
        self.queue.push(at, What::Down { link: old, side, reason });
    }

    pub(super) fn link_up(&mut self, link: usize, side: usize) {
        let Link { ends, shared, .. } = &self.links.all[link];
        let (host, other, shared) = (ends[side].host, ends[1 - side].host, *shared);
        if ends[side].state != EndState::Opening || !self.hosts[host].is(ends[side].born) {
            return;
        }
        let life = ends[1 - side].life;
        let heard = self.hosts[other].is(ends[1 - side].born) && !self.sky.is_cut(other, host);
        if !heard {
            // The last word of the handshake was lost.
            self.links.all[link].ends[side].state = EndState::Down;
            if self.links.of(host, other) == Some(link) {
                self.links.set(host, other, None);
            }
            let at = self.now + Duration::from_micros(HELLO);
            let reason = CloseReason::HelloTimeout;
            self.queue.push(at, What::Down { link, side: 1 - side, reason });
            return;
        }
        self.links.all[link].ends[side].state = EndState::Up;
        self.note(Detail::Brief, Some(host), || format!("p{host} link up to p{other} ({life})"));
        self.give(host, Input::LinkUp { life, shared_fate: shared });
        if self.sky.is_cut(host, other) || self.hosts[other].frozen.is_some() {
            self.expect_silence(link);
        }
    }

    pub(super) fn link_down(&mut self, (link, side): (usize, usize), reason: CloseReason) {
        let Link { ends, .. } = &mut self.links.all[link];
        let (host, other) = (ends[side].host, ends[1 - side].host);
        let (life, was) = (ends[1 - side].life, ends[side].state);
        ends[side].state = EndState::Down;
        if self.links.of(host, other) == Some(link) {
            self.links.set(host, other, None);
        }
        if was == EndState::Up && self.hosts[host].is(self.links.all[link].ends[side].born) {
            self.note(Detail::Brief, Some(host), || {
                format!("p{host} link down to p{other} ({life}): {reason}")
            });
            self.give(host, Input::LinkDown { life, reason });
        }
    }

    /// From now on nothing comes over this link, or it may be so: both ends will notice.
    pub(super) fn expect_silence(&mut self, link: usize) {
        for side in [0, 1] {
            let since = self.now;
            let what = [link as u64, side as u64, since.as_us()];
            let wait = IDLE.0 + self.draw.below("idle", &what, IDLE.1);
            let at = since + Duration::from_micros(wait);
            self.queue.push(at, What::Idle { link, side, since });
        }
    }

    pub(super) fn idle(&mut self, (link, side): (usize, usize), since: Time) {
        let Link { ends, .. } = &self.links.all[link];
        let (end, other) = (&ends[side], &ends[1 - side]);
        let there = &self.hosts[other.host];
        let dead = !there.is(other.born);
        // An end that was closed meanwhile answers nothing any more.
        let silent = dead
            || other.state == EndState::Down
            || there.frozen == Some(since)
            || self.sky.cut_since(other.host, end.host) == Some(since);
        if end.state != EndState::Up || !silent {
            return;
        }
        let cut = self.sky.is_cut(end.host, other.host);
        let told = !dead && !cut;
        self.link_down((link, side), CloseReason::Lost);
        if told {
            let wait = self.draw.below("told", &[link as u64, side as u64], 30_000);
            let (at, reason) = (self.now + Duration::from_micros(wait), CloseReason::Lost);
            self.queue.push(at, What::Down { link, side: 1 - side, reason });
        }
    }

    /// A peer closes a link itself: what it sent before arrives before the end.
    pub(super) fn hang_up(&mut self, host: usize, life: Life, reason: CloseReason) {
        let Some(&other) = self.of_peer.get(&life.peer) else { return };
        let Some(link) = self.links.of(host, other) else { return };
        let side = self.links.side(link, host);
        let Link { ends, .. } = &self.links.all[link];
        if ends[1 - side].life != life || ends[side].state != EndState::Up {
            return;
        }
        let latest = ends[side].last.into_iter().max().unwrap_or(self.now).max(self.now);
        let soon = self.now + Duration::from_micros(50);
        let at = latest + Duration::from_micros(self.plan.delay);
        let cut = self.sky.is_cut(host, other);
        self.queue.push(soon, What::Down { link, side, reason });
        if !cut {
            self.queue.push(at, What::Down { link, side: 1 - side, reason });
        }
        self.expect_silence(link);
    }

    /// The link breaks: each end hears of it in its own time.
    pub(super) fn reset(&mut self, left: usize, right: usize) {
        let Some(link) = self.links.of(left, right) else { return };
        for side in [0, 1] {
            let wait = self.draw.below("reset", &[link as u64, side], 50_000);
            let (at, reason) = (self.now + Duration::from_micros(wait), CloseReason::Lost);
            let side = usize::from(side == 1);
            self.queue.push(at, What::Down { link, side, reason });
        }
    }

    /// A direction is open again: what was held up goes on its way, in order.
    pub(super) fn release(&mut self, from: usize, to: usize) {
        let Some(link) = self.links.of(from, to) else { return };
        let side = self.links.side(link, from);
        let stalled = core::mem::take(&mut self.links.all[link].stalled[side]);
        stalled.into_iter().for_each(|message| self.transmit(link, side, message));
    }

    /// All ends of a host, with their links.
    pub(super) fn links_of(&self, host: usize) -> Vec<(usize, usize)> {
        let others = 0..self.hosts.len();
        let links = others.filter_map(|other| self.links.of(host, other));
        links.map(|link| (link, self.links.side(link, host))).collect()
    }

    /// A life is over: its links are not; the other ends hear of it sooner or later.
    pub(super) fn mourn(&mut self, host: usize, farewell: Farewell) {
        for (link, side) in self.links_of(host) {
            let Link { ends, shared, .. } = &mut self.links.all[link];
            ends[side].state = EndState::Down;
            let (other, shared) = (ends[1 - side].host, *shared);
            let latest = ends[side].last.into_iter().max().unwrap_or(self.now).max(self.now);
            self.links.set(host, other, None);
            let what = [host as u64, self.hosts[host].born, other as u64];
            let (at, reason) = match farewell {
                Farewell::Said => (latest, CloseReason::ShuttingDown),
                Farewell::None if shared => (self.now, CloseReason::Gone),
                Farewell::None if self.draw.chance("noticed", &what, 300) => {
                    let wait = self.draw.below("notice", &what, 50_000);
                    (self.now + Duration::from_micros(wait), CloseReason::Lost)
                }
                Farewell::None => {
                    self.expect_silence(link);
                    continue;
                }
            };
            if self.sky.is_cut(host, other) {
                self.expect_silence(link);
                continue;
            }
            let at = at + Duration::from_micros(self.plan.delay);
            self.queue.push(at, What::Down { link, side: 1 - side, reason });
        }
    }
}

/// Whether a life said that it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    Said,
    None,
}

/// A dial on its way.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    host: usize,
    born: u64,
    peer: Option<PeerId>,
    addresses: Vec<Address>,
    index: usize,
    fails: bool,
}

/// Where a peer of the world is reached.
pub(super) fn address(host: usize) -> Address {
    Address::new("sim", &host.to_string())
}

fn target(address: &Address) -> Option<usize> {
    address.rest("sim")?.parse().ok()
}
