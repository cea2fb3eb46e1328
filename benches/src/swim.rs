use core::{fmt, num::NonZeroU8, num::NonZeroUsize, time::Duration};
use std::collections::BTreeMap;

use bytes::{Buf, BufMut};
use foca::{
    Config, Foca, Header, Identity, Member, Message, NoCustomBroadcast, Notification,
    PeriodicParams, State, Timer,
};
use formic_core::{Time, mix, transport::Class};
use formic_sim::detect::{Act, Detector, Input, Seat};
use rand::{SeedableRng, rngs::SmallRng};

/// What a person who sets up foca for a bound decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// How often a member is probed.
    pub period: Duration,
    /// How long a direct answer is waited for.
    pub round_trip: Duration,
    /// Members asked to probe in one's place.
    pub indirect: usize,
    /// How long a suspect may refute.
    pub suspicion: Duration,
    /// How often news are gossiped, while there are any.
    pub gossip: Duration,
    /// To how many members.
    pub fan: usize,
    /// How often one piece of news is told.
    pub tell: u8,
}

impl Tuning {
    /// Of the settings that know each crash within 450 ms, n = 10 and 100, no loss, and send at most
    /// 100 messages a second at 10 % loss, the one with the fewest false verdicts there. Found by
    /// `cargo xtask bench detect --tune`.
    pub const FRUGAL: Self = Self {
        period: Duration::from_millis(50),
        round_trip: Duration::from_millis(15),
        indirect: 3,
        suspicion: Duration::from_millis(90),
        gossip: Duration::from_millis(20),
        fan: 3,
        tell: 10,
    };

    /// Without a limit on messages: of the settings without a false verdict there, the one with the most
    /// probes, the most members asked to probe in one's place, and the longest suspicion.
    pub const GENEROUS: Self = Self {
        period: Duration::from_millis(25),
        round_trip: Duration::from_millis(8),
        indirect: 8,
        suspicion: Duration::from_millis(180),
        gossip: Duration::from_millis(20),
        fan: 3,
        tell: 10,
    };

    fn config(&self) -> Config {
        let count = |number: usize| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        let periodic =
            |frequency, number| Some(PeriodicParams { frequency, num_members: count(number) });
        Config {
            probe_period: self.period,
            probe_rtt: self.round_trip,
            num_indirect_probes: count(self.indirect),
            max_transmissions: NonZeroU8::new(self.tell).unwrap_or(NonZeroU8::MIN),
            suspect_to_down_after: self.suspicion,
            remove_down_after: None,
            notify_down_members: true,
            periodic_gossip: periodic(self.gossip, self.fan),
            periodic_announce_to_down_members: periodic(Duration::from_secs(1), 2),
            ..Config::simple()
        }
    }
}

/// foca 2 (SWIM with suspicion) as a contestant. A member that learns that it is held dead comes back
/// under its next name by itself, as foca can do.
pub struct Swim {
    seat: Seat,
    foca: Foca<Name, Packed, SmallRng, NoCustomBroadcast>,
    timers: BTreeMap<(Time, u64), Timer<Name>>,
    set: u64,
}

impl fmt::Debug for Swim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swim").field("seat", &self.seat).finish_non_exhaustive()
    }
}

impl Swim {
    /// One member.
    pub fn new(seat: Seat, tuning: &Tuning) -> Self {
        let random = SmallRng::seed_from_u64(mix(seat.seed ^ mix(seat.peer as u64)));
        let foca = Foca::new(Name::first(seat.peer), tuning.config(), random, Packed);
        Self { seat, foca, timers: BTreeMap::new(), set: 0 }
    }

    fn with<E>(
        &mut self,
        now: Time,
        out: &mut Vec<Act<Box<[u8]>>>,
        feed: impl FnOnce(
            &mut Foca<Name, Packed, SmallRng, NoCustomBroadcast>,
            &mut Driver<'_>,
        ) -> Result<(), E>,
    ) {
        let own = self.seat.peer;
        let mut driver = Driver { own, now, out, timers: &mut self.timers, set: &mut self.set };
        if feed(&mut self.foca, &mut driver).is_err() {
            out.push(Act::Refused);
        }
    }
}

impl Detector for Swim {
    type Message = Box<[u8]>;

    fn handle(&mut self, now: Time, input: Input<'_, Box<[u8]>>, out: &mut Vec<Act<Box<[u8]>>>) {
        match input {
            Input::Start => {
                let Seat { peer, peers, .. } = self.seat;
                let others = (0..peers).filter(move |&other| other != peer);
                let members = others.map(|other| Member::alive(Name::first(other)));
                self.with(now, out, |foca, driver| foca.apply_many(members, false, driver));
            }
            Input::Message { message, .. } => {
                self.with(now, out, |foca, driver| foca.handle_data(message, driver));
            }
            // After a stall: in the order in which they were due, as foca asks for.
            Input::Deadline => {
                while self.deadline().is_some_and(|at| at <= now)
                    && let Some((_, timer)) = self.timers.pop_first()
                {
                    self.with(now, out, |foca, driver| foca.handle_timer(timer, driver));
                }
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.timers.first_key_value().map(|((at, _), _)| *at)
    }

    fn size(message: &Box<[u8]>) -> usize {
        message.len()
    }
}

/// Turns what foca wants into acts.
struct Driver<'a> {
    own: usize,
    now: Time,
    out: &'a mut Vec<Act<Box<[u8]>>>,
    timers: &'a mut BTreeMap<(Time, u64), Timer<Name>>,
    set: &'a mut u64,
}

impl foca::Runtime<Name> for Driver<'_> {
    fn notify(&mut self, notification: Notification<'_, Name>) {
        match notification {
            Notification::MemberUp(name) => self.out.push(Act::Up { peer: name.peer() }),
            Notification::MemberDown(name) => self.out.push(Act::Down { peer: name.peer() }),
            Notification::Rename(..)
            | Notification::Active
            | Notification::Idle
            | Notification::Defunct
            | Notification::Rejoin(_) => {}
        }
    }

    fn send_to(&mut self, to: Name, data: &[u8]) {
        let (to, class) = (to.peer(), Class::Unreliable);
        // It announces itself to its own former names as well; no link leads there.
        if to != self.own {
            self.out.push(Act::Send { to, class, message: data.into() });
        }
    }

    fn submit_after(&mut self, event: Timer<Name>, after: Duration) {
        *self.set += 1;
        self.timers.insert((self.now + after, *self.set), event);
    }
}

/// Six bytes on the wire, as an IPv4 address and port would have, and two for the life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    address: [u8; 6],
    life: u16,
}

impl Name {
    fn first(peer: usize) -> Self {
        let mut address = [0; 6];
        address.copy_from_slice(&(peer as u64).to_be_bytes()[2..]);
        Self { address, life: 0 }
    }

    fn peer(self) -> usize {
        self.address.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
}

impl Identity for Name {
    type Addr = [u8; 6];

    fn renew(&self) -> Option<Self> {
        Some(Self { life: self.life.wrapping_add(1), ..*self })
    }

    fn addr(&self) -> [u8; 6] {
        self.address
    }

    fn win_addr_conflict(&self, other: &Self) -> bool {
        self.life > other.life
    }
}

/// A compact encoding: foca brings none without further dependencies.
#[derive(Clone, Copy, Debug)]
struct Packed;

/// The bytes are not what [`Packed`] writes, or do not fit.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no room, or no such packet")]
struct BadPacket;

const NAME: usize = 8;

fn put_name(name: Name, buf: &mut impl BufMut) {
    buf.put_slice(&name.address);
    buf.put_u16(name.life);
}

fn get_name(buf: &mut impl Buf) -> Result<Name, BadPacket> {
    let mut address = [0; 6];
    buf.try_copy_to_slice(&mut address).map_err(|_| BadPacket)?;
    Ok(Name { address, life: buf.try_get_u16().map_err(|_| BadPacket)? })
}

impl foca::Codec<Name> for Packed {
    type Error = BadPacket;

    fn encode_header(
        &mut self,
        header: &Header<Name>,
        mut buf: impl BufMut,
    ) -> Result<(), BadPacket> {
        if buf.remaining_mut() < 2 * NAME + 4 + NAME {
            return Err(BadPacket);
        }
        put_name(header.src, &mut buf);
        buf.put_u16(header.src_incarnation);
        put_name(header.dst, &mut buf);
        let (kind, number, third) = match header.message {
            Message::Ping(number) => (0, number, None),
            Message::Ack(number) => (1, number, None),
            Message::PingReq { target, probe_number } => (2, probe_number, Some(target)),
            Message::IndirectPing { origin, probe_number } => (3, probe_number, Some(origin)),
            Message::IndirectAck { target, probe_number } => (4, probe_number, Some(target)),
            Message::ForwardedAck { origin, probe_number } => (5, probe_number, Some(origin)),
            Message::Announce => (6, 0, None),
            Message::Feed => (7, 0, None),
            Message::Gossip => (8, 0, None),
            Message::Broadcast => (9, 0, None),
            Message::TurnUndead => (10, 0, None),
        };
        buf.put_u8(kind);
        buf.put_u8(number);
        if let Some(third) = third {
            put_name(third, &mut buf);
        }
        Ok(())
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Name>, BadPacket> {
        let src = get_name(&mut buf)?;
        let src_incarnation = buf.try_get_u16().map_err(|_| BadPacket)?;
        let dst = get_name(&mut buf)?;
        let kind = buf.try_get_u8().map_err(|_| BadPacket)?;
        let probe_number = buf.try_get_u8().map_err(|_| BadPacket)?;
        let message = match kind {
            0 => Message::Ping(probe_number),
            1 => Message::Ack(probe_number),
            2 => Message::PingReq { target: get_name(&mut buf)?, probe_number },
            3 => Message::IndirectPing { origin: get_name(&mut buf)?, probe_number },
            4 => Message::IndirectAck { target: get_name(&mut buf)?, probe_number },
            5 => Message::ForwardedAck { origin: get_name(&mut buf)?, probe_number },
            6 => Message::Announce,
            7 => Message::Feed,
            8 => Message::Gossip,
            9 => Message::Broadcast,
            10 => Message::TurnUndead,
            _ => return Err(BadPacket),
        };
        Ok(Header { src, src_incarnation, dst, message })
    }

    fn encode_member(
        &mut self,
        member: &Member<Name>,
        mut buf: impl BufMut,
    ) -> Result<(), BadPacket> {
        if buf.remaining_mut() < NAME + 3 {
            return Err(BadPacket);
        }
        put_name(*member.id(), &mut buf);
        buf.put_u16(member.incarnation());
        buf.put_u8(match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        Ok(())
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<Name>, BadPacket> {
        let name = get_name(&mut buf)?;
        let incarnation = buf.try_get_u16().map_err(|_| BadPacket)?;
        let state = match buf.try_get_u8().map_err(|_| BadPacket)? {
            0 => State::Alive,
            1 => State::Suspect,
            2 => State::Down,
            _ => return Err(BadPacket),
        };
        Ok(Member::new(name, incarnation, state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formic_sim::detect::{Crashes, Setting, crashes, watch};

    #[test]
    fn each_crash_is_found_within_the_bound_that_the_settings_aim_at() {
        let plan = Crashes { worlds: 30, ..Crashes::single() };
        let figures = crashes(&Setting::new(10, 4), &plan, |seat| Swim::new(seat, &Tuning::FRUGAL));
        assert_eq!((figures.detected.len(), figures.missed, figures.refused), (30, 0, 0));
        let worst = figures.detected.iter().max().copied();
        assert!(worst < Some(Duration::from_millis(450)), "{worst:?}");
        assert_eq!(figures.false_verdicts, 0);
    }

    #[test]
    fn who_is_taken_for_dead_comes_back() {
        let setting = Setting { loss_permille: 300, ..Setting::new(10, 4) };
        let span = (Duration::from_secs(2), Duration::from_secs(100));
        let figures = watch(&setting, span, |seat| Swim::new(seat, &Tuning::FRUGAL));
        // More than each could be once: they were up again in between.
        assert!(figures.false_verdicts > 20, "{}", figures.false_verdicts);
        assert_eq!(figures.refused, 0);
    }
}
