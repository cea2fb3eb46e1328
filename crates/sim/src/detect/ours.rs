use formic_core::{Digest, Incarnation, Life, PeerId, Protocol, Time, wire};
use formic_healing::{Config, Effect, Error, Event, Fate, Healing, Message};

use super::{Act, Detector, Input, Seat};

/// The shipped machine: one [`Healing`] with its default settings.
#[derive(Clone, Debug)]
pub struct Ours {
    seat: Seat,
    healing: Healing,
    effects: Vec<Effect>,
}

impl Ours {
    /// One peer's machine.
    ///
    /// # Errors
    /// The machine refuses its own defaults.
    pub fn new(seat: Seat) -> Result<Self, Error> {
        let healing = Healing::new(Config::default())?;
        Ok(Self { seat, healing, effects: vec![] })
    }

    fn feed(&mut self, now: Time, input: formic_healing::Input, out: &mut Vec<Act<Message>>) {
        if self.healing.handle(now, input, &mut self.effects).is_err() {
            out.push(Act::Refused);
        }
        out.extend(self.effects.drain(..).map(|effect| match effect {
            Effect::Send { to, message } => {
                Act::Send { to: number(to), class: message.class(), message }
            }
            Effect::Event(Event::Up { life }) => Act::Up { peer: number(life) },
            Effect::Event(Event::Down { life, .. }) => Act::Down { peer: number(life) },
        }));
    }
}

impl Detector for Ours {
    type Message = Message;

    fn handle(&mut self, now: Time, input: Input<'_, Message>, out: &mut Vec<Act<Message>>) {
        match input {
            Input::Start => {
                let Seat { peer: own, peers, .. } = self.seat;
                for peer in (0..peers).filter(|&peer| peer != own) {
                    let life = life(peer);
                    self.feed(now, formic_healing::Input::Watch { life }, out);
                    let up = formic_healing::Input::LinkUp { life, fate: Fate::Own };
                    self.feed(now, up, out);
                }
            }
            Input::Message { from, message } => {
                let message =
                    formic_healing::Input::Message { from: life(from), message: *message };
                self.feed(now, message, out);
            }
            Input::Deadline => self.feed(now, formic_healing::Input::Deadline, out),
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.healing.deadline()
    }

    fn size(message: &Message) -> usize {
        let mut counter = Counter(0);
        // What cannot be encoded is never sent: it has no size.
        wire::encode_into(message, &mut counter).unwrap_or(0)
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

/// The life of this peer: an identity as any other, with its number at the end.
fn life(peer: usize) -> Life {
    let number = (peer as u64).to_be_bytes();
    let mut bytes = *Digest::of(&[b"peer", &number]).as_bytes();
    bytes[24..].copy_from_slice(&number);
    Life::new(PeerId::from_bytes(bytes), Incarnation(1))
}

fn number(life: Life) -> usize {
    let mut number = [0; 8];
    number.copy_from_slice(&life.peer.as_bytes()[24..]);
    usize::try_from(u64::from_be_bytes(number)).unwrap_or(usize::MAX)
}
