use core::time::Duration;
use std::sync::Arc;

use formic_core::{
    Digest, FateId, Incarnation, Life, Member, PeerId, Protocol, Random, Time, View, earliest, mix,
    transport::{Class, CloseReason},
    wire,
};
use formic_healing::{Config, Effect, Error, Event, Fate, Healing, Message};

use super::{Act, Detector, Input, Seat};

/// A life that is no member asks to be let in this often.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// The shipped machine with its default settings: one [`Healing`] per peer, all members of one view.
///
/// A peer whose life is evicted returns as its next life and asks a random peer to be admitted, as a
/// driver does.
#[derive(Clone, Debug)]
pub struct Ours {
    seat: Seat,
    healing: Healing,
    /// The other end of each link; its own life at its own number.
    lives: Vec<Life>,
    /// The newest life of each that was reported as up.
    up: Vec<Incarnation>,
    in_view: Vec<bool>,
    random: Random,
    /// When to ask to be admitted again.
    ask_at: Option<Time>,
    /// Lives that asked this peer.
    guests: Vec<Member>,
    effects: Vec<Effect>,
}

/// What travels between the peers.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Of the sender: the link was made for this life.
    incarnation: Incarnation,
    word: Word,
}

#[derive(Clone, Debug)]
enum Word {
    Healing(Message),
    /// The link comes up.
    Hello,
    Admit(Member),
    Joined(Arc<View>),
}

impl Ours {
    /// The view that all peers of a mesh begin with.
    pub fn first_view(peers: usize) -> Arc<View> {
        let members = (0..peers).map(|peer| member(first_life(peer))).collect();
        Arc::new(View { members, ..View::found(member(first_life(0))) })
    }

    /// One peer's machine.
    ///
    /// # Errors
    /// The machine refuses its own defaults, or `view` lacks this peer.
    pub fn new(seat: Seat, view: &Arc<View>) -> Result<Self, Error> {
        let mut random = Random::new(mix(seat.seed ^ mix(seat.peer as u64)));
        let me = member(first_life(seat.peer));
        let mut healing = Healing::new(Config::default(), me, Random::new(random.next()))?;
        let mut effects = Vec::new();
        let joined = formic_healing::Input::Joined(Arc::clone(view));
        healing.handle(Time::ZERO, joined, &mut effects)?;
        Ok(Self {
            seat,
            healing,
            lives: (0..seat.peers).map(first_life).collect(),
            up: vec![Incarnation(0); seat.peers],
            in_view: vec![true; seat.peers],
            random,
            ask_at: None,
            guests: vec![],
            effects,
        })
    }

    fn start(&mut self, now: Time, out: &mut Vec<Act<Frame>>) {
        self.pass_on(now, out);
        let Seat { peer: own, peers, .. } = self.seat;
        for peer in (0..peers).filter(|&peer| peer != own) {
            let up = formic_healing::Input::LinkUp { life: self.lives[peer], fate: Fate::Own };
            self.feed(now, up, out);
        }
    }

    fn feed(&mut self, now: Time, input: formic_healing::Input, out: &mut Vec<Act<Frame>>) {
        if self.healing.handle(now, input, &mut self.effects).is_err() {
            out.push(Act::Refused);
        }
        self.pass_on(now, out);
    }

    fn pass_on(&mut self, now: Time, out: &mut Vec<Act<Frame>>) {
        let mut effects = core::mem::take(&mut self.effects);
        let mut next_life = None;
        for effect in effects.drain(..) {
            match effect {
                // Disks take no time here.
                Effect::Persist(_) => {}
                Effect::Send { to, message } if self.lives[number(to)] == to => {
                    out.push(self.frame(number(to), Word::Healing(message)));
                }
                // The link to an older life is gone.
                Effect::Send { .. } => {}
                Effect::Event(Event::EvictedSelf { next, .. }) => next_life = Some(next),
                Effect::Event(event) => self.on_event(event, out),
            }
        }
        self.effects = effects;
        if let Some(next) = next_life {
            self.return_as(now, next, out);
        }
    }

    fn frame(&self, to: usize, word: Word) -> Act<Frame> {
        let class = match &word {
            Word::Healing(message) => message.class(),
            Word::Hello | Word::Admit(_) | Word::Joined(_) => Class::Control,
        };
        let incarnation = self.lives[self.seat.peer].incarnation;
        Act::Send { to, class, message: Frame { incarnation, word } }
    }

    fn on_event(&mut self, event: Event, out: &mut Vec<Act<Frame>>) {
        match event {
            Event::Up { life } => {
                self.up[number(life)] = life.incarnation;
                out.push(Act::Up { peer: number(life) });
            }
            Event::Down { life, .. } if life.incarnation >= self.up[number(life)] => {
                out.push(Act::Down { peer: number(life) });
            }
            Event::View { view } => self.on_view(&view, out),
            _ => {}
        }
    }

    fn on_view(&mut self, view: &Arc<View>, out: &mut Vec<Act<Frame>>) {
        let mut listed = vec![false; self.seat.peers];
        view.lives().for_each(|life| listed[number(life)] = true);
        for (peer, (was, is)) in self.in_view.iter_mut().zip(&listed).enumerate() {
            if *was && !*is {
                out.push(Act::Down { peer });
                out.push(Act::Evicted { peer });
            } else if !*was && *is {
                out.push(Act::Admitted { peer });
            }
            *was = *is;
        }
        if view.contains(self.lives[self.seat.peer]) {
            self.ask_at = None;
        }
        let (welcome, waiting) =
            core::mem::take(&mut self.guests).into_iter().partition(|m| view.contains(m.life));
        self.guests = waiting;
        let welcome: Vec<Member> = welcome;
        for member in welcome {
            out.push(self.frame(number(member.life), Word::Joined(Arc::clone(view))));
        }
    }

    /// The old life ends; the next one is linked to all and asks to be admitted.
    fn return_as(&mut self, now: Time, next: Incarnation, out: &mut Vec<Act<Frame>>) {
        let own = self.seat.peer;
        self.lives[own].incarnation = next;
        let me = member(self.lives[own]);
        let random = Random::new(self.random.next());
        match Healing::new(Config::default(), me, random) {
            Ok(healing) => self.healing = healing,
            Err(_) => out.push(Act::Refused),
        }
        self.guests.clear();
        for peer in (0..self.seat.peers).filter(|&peer| peer != own) {
            out.push(self.frame(peer, Word::Hello));
        }
        self.start(now, out);
        self.ask_at = Some(now);
    }

    fn ask(&mut self, now: Time, out: &mut Vec<Act<Frame>>) {
        self.ask_at = Some(now + ASK_EVERY);
        let others = self.seat.peers as u64 - 1;
        let chosen = usize::try_from(self.random.below(others)).unwrap_or(0);
        let to = (self.seat.peer + 1 + chosen) % self.seat.peers;
        out.push(self.frame(to, Word::Admit(member(self.lives[self.seat.peer]))));
    }

    fn on_frame(&mut self, now: Time, from: usize, frame: &Frame, out: &mut Vec<Act<Frame>>) {
        let known = self.lives[from];
        if frame.incarnation < known.incarnation {
            return;
        }
        if frame.incarnation > known.incarnation {
            let life = Life { incarnation: frame.incarnation, ..known };
            self.lives[from] = life;
            let reason = CloseReason::PeerRestarted;
            self.feed(now, formic_healing::Input::LinkDown { life: known, reason }, out);
            self.feed(now, formic_healing::Input::LinkUp { life, fate: Fate::Own }, out);
        }
        let from = self.lives[from];
        match &frame.word {
            Word::Hello => {}
            Word::Healing(message) => {
                let message = message.clone();
                self.feed(now, formic_healing::Input::Message { from, message }, out);
            }
            Word::Admit(member) => self.on_admit(now, *member, out),
            Word::Joined(view) => {
                self.feed(now, formic_healing::Input::Joined(Arc::clone(view)), out);
            }
        }
    }

    fn on_admit(&mut self, now: Time, member: Member, out: &mut Vec<Act<Frame>>) {
        let view = self.healing.view().filter(|view| view.contains(member.life));
        if let Some(view) = view.cloned() {
            out.push(self.frame(number(member.life), Word::Joined(view)));
            return;
        }
        self.guests.retain(|guest| guest.life.peer != member.life.peer);
        self.guests.push(member);
        self.feed(now, formic_healing::Input::Admit(member), out);
    }
}

impl Detector for Ours {
    type Message = Frame;
    const VIEWS: bool = true;

    fn handle(&mut self, now: Time, input: Input<'_, Frame>, out: &mut Vec<Act<Frame>>) {
        match input {
            Input::Start => self.start(now, out),
            Input::Message { from, message } => self.on_frame(now, from, message, out),
            Input::Deadline => {
                if self.ask_at.is_some_and(|at| at <= now) {
                    self.ask(now, out);
                }
                if self.healing.deadline().is_some_and(|at| at <= now) {
                    self.feed(now, formic_healing::Input::Deadline, out);
                }
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        earliest(self.healing.deadline(), self.ask_at)
    }

    fn size(frame: &Frame) -> usize {
        let mut counter = Counter(0);
        let encoded = match &frame.word {
            Word::Healing(message) => wire::encode_into(message, &mut counter),
            Word::Hello => Ok(0),
            Word::Admit(member) => wire::encode_into(member, &mut counter),
            Word::Joined(view) => wire::encode_into(view, &mut counter),
        };
        // What cannot be encoded is never sent: it has no size.
        encoded.unwrap_or(0)
    }
}

/// Counts bytes instead of keeping them.
struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The first life of this peer: an identity as any other, with its number at the end.
fn first_life(peer: usize) -> Life {
    let number = (peer as u64).to_be_bytes();
    let mut bytes = *Digest::of(&[b"peer", &number]).as_bytes();
    bytes[24..].copy_from_slice(&number);
    Life::new(PeerId::from_bytes(bytes), Incarnation(1))
}

/// Each peer is a process of its own, each life a new one.
fn member(life: Life) -> Member {
    Member { life, fate: FateId(mix((number(life) as u64) << 32 | life.incarnation.0)) }
}

fn number(life: Life) -> usize {
    let mut number = [0; 8];
    number.copy_from_slice(&life.peer.as_bytes()[24..]);
    usize::try_from(u64::from_be_bytes(number)).unwrap_or(usize::MAX)
}
