//! Back at once after an outage: while something is unacknowledged and nothing is heard, a packet leaves every
//! [`INTERVAL`].
//!
//! QUIC itself doubles the pause between its probes, without a bound below minutes: after a cut of 5 s the next one
//! may be 5 s away, and both ends wait for it although the network is well. A pulse is an empty datagram, so that the
//! first one that gets through is acknowledged, which resets the doubling and shows what was lost. It never reaches
//! the consumer: that this thread runs proves nothing about the peer.
//!
//! What is heard first is often an acknowledgement from before the outage that was lost: to QUIC a round trip as long
//! as the outage, and nothing that was sent since is found to be lost by it. So it is answered by a pulse at once, the
//! window stays open while acknowledgements come, and the pace of looks is that of the shortest round trip.

use core::{
    any::Any,
    mem,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use quinn::{
    Connection,
    congestion::{Controller, ControllerFactory, ControllerMetrics, Cubic, CubicConfig},
};
use quinn_proto::RttEstimator;
use tokio::{sync::Notify, time::timeout};

use crate::{endpoint::Endpoint, link::Link};

/// How long nothing may be heard while something is unacknowledged. Well above the 25 ms by which an acknowledgement
/// may be delayed.
const INTERVAL: Duration = Duration::from_millis(200);

/// A window that is used up is opened so far: a pulse and the packet that may be under construction.
const ROOM: u64 = 4 << 10;

/// What the congestion controller of one path has seen.
#[derive(Debug, Default)]
struct Flight {
    /// Acknowledgements that came.
    acks: AtomicU64,
    /// Bytes in flight when the last one came.
    rest: AtomicU64,
    /// Bytes that left since.
    sent: AtomicU64,
    /// The window is at least this. An outage uses it up, and what is lost is found only by what is sent.
    least: AtomicU64,
    /// Shortest round trip, in microseconds.
    min_rtt: AtomicU64,
    /// Told when something is heard after a pulse and leaves something in flight.
    echo: Notify,
}

/// Cubic, whose window a pulse can open.
#[derive(Debug)]
struct Opened {
    cubic: Cubic,
    flight: Arc<Flight>,
}

/// Makes the controllers of connections.
#[derive(Debug, Default)]
pub(crate) struct Control(Arc<CubicConfig>);

impl ControllerFactory for Control {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let cubic = Cubic::new(Arc::clone(&self.0), now, current_mtu);
        Box::new(Opened { cubic, flight: Arc::default() })
    }
}

impl Controller for Opened {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.flight.sent.fetch_add(bytes, Ordering::Relaxed);
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        let min_rtt = u64::try_from(rtt.min().as_micros()).unwrap_or(u64::MAX);
        self.flight.min_rtt.store(min_rtt, Ordering::Relaxed);
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.flight.acks.fetch_add(1, Ordering::Relaxed);
        self.flight.rest.store(in_flight, Ordering::Relaxed);
        self.flight.sent.store(0, Ordering::Relaxed);
        self.flight.hear(in_flight, self.cubic.window());
        self.cubic.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.cubic.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window().max(self.flight.least.load(Ordering::Relaxed))
    }

    fn metrics(&self) -> ControllerMetrics {
        self.cubic.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self { cubic: self.cubic.clone(), flight: Arc::clone(&self.flight) })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Flight {
    /// Of the path that a connection takes now.
    fn of(connection: &Connection) -> Option<Arc<Self>> {
        let state = connection.congestion_state().into_any().downcast::<Opened>().ok()?;
        Some(state.flight)
    }

    /// One more packet may leave, whatever is in flight.
    fn open(&self) {
        let in_flight = self.rest.load(Ordering::Relaxed) + self.sent.load(Ordering::Relaxed);
        self.least.store(in_flight + ROOM, Ordering::Relaxed);
    }

    /// An acknowledgement came. What it leaves in flight may be more than the window, and no sender then.
    fn hear(&self, in_flight: u64, window: u64) {
        if self.least.load(Ordering::Relaxed) == 0 {
            return;
        }
        if in_flight > window {
            self.open();
        } else {
            self.least.store(0, Ordering::Relaxed);
        }
        if in_flight > 0 {
            self.echo.notify_one();
        }
    }

    async fn look_again(&self) {
        // Longer than until QUIC's first probe, also where the round trip is long and varies by half.
        let round_trips = Duration::from_micros(self.min_rtt.load(Ordering::Relaxed)) * 4;
        // Either is a reason to look.
        drop(timeout(INTERVAL.max(round_trips), self.echo.notified()).await);
    }
}

/// What is seen of a connection at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    /// Acknowledgements that came so far.
    acks: u64,
    /// Bytes in flight when the last one came.
    rest: u64,
    /// Frames sent so far that the peer has to acknowledge.
    owed: u64,
}

/// What to do until the next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// All is acknowledged: nothing until something is sent.
    Rest,
    Wait,
    Pulse,
}

/// So many looks at which nothing was sent or is known to be in flight, one after another, and all is acknowledged:
/// what was sent after the last acknowledgement was sent again meanwhile, by QUIC's first probes.
const QUIET: u32 = 2;

/// Decides, look by look, one interval apart.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    last: Look,
    quiet: u32,
    /// Nothing was heard since the last pulse.
    is_silent: bool,
}

impl Watch {
    fn step(&mut self, look: Look) -> Step {
        let (heard, sent) = (look.acks != self.last.acks, look.owed != self.last.owed);
        self.last = look;
        if heard && mem::take(&mut self.is_silent) && look.rest > 0 {
            return Step::Pulse;
        }
        let is_quiet = look.rest == 0 && !sent && !self.is_silent;
        self.quiet = if is_quiet { self.quiet + 1 } else { 0 };
        if self.quiet >= QUIET {
            return Step::Rest;
        }
        if heard || is_quiet {
            return Step::Wait;
        }
        self.is_silent = true;
        Step::Pulse
    }
}

fn look(connection: &Connection, flight: &Flight) -> Look {
    let sent = connection.stats().frame_tx;
    Look {
        acks: flight.acks.load(Ordering::Relaxed),
        rest: flight.rest.load(Ordering::Relaxed),
        owed: sent.stream + sent.datagram + sent.ping + sent.max_data + sent.max_stream_data,
    }
}

/// Keeps watch over a link for as long as its connection lives. No timer runs while all is acknowledged.
pub(crate) async fn watch(endpoint: Arc<Endpoint>, link: Arc<Link>) {
    let mut watch = Watch::default();
    loop {
        link.active.notified().await;
        if watch_until_rest(&endpoint, &link, &mut watch).await.is_none() {
            return;
        }
    }
}

/// `None`: the connection is closed.
async fn watch_until_rest(endpoint: &Endpoint, link: &Link, watch: &mut Watch) -> Option<()> {
    let connection = &link.connection;
    loop {
        Flight::of(connection)?.look_again().await;
        if connection.close_reason().is_some() {
            return None;
        }
        // Asked anew each time: another path has another one.
        let flight = Flight::of(connection)?;
        match watch.step(look(connection, &flight)) {
            Step::Rest => return Some(()),
            Step::Wait => {}
            Step::Pulse => {
                flight.open();
                // Refused: the other end takes no datagrams, so this is no link; or it is closed.
                connection.send_datagram(Bytes::new()).ok()?;
                endpoint.counts.pulses.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seen(acks: u64, rest: u64, owed: u64) -> Look {
        Look { acks, rest, owed }
    }

    fn from(last: Look) -> Watch {
        Watch { last, quiet: QUIET, is_silent: false }
    }

    #[test]
    fn silence_with_something_unacknowledged_is_pulsed_until_something_is_heard() {
        let mut watch = from(seen(5, 0, 10));
        assert_eq!(watch.step(seen(5, 0, 11)), Step::Pulse);
        // The pulse, and QUIC's own probe.
        assert_eq!(watch.step(seen(5, 0, 13)), Step::Pulse);
        // The pulse alone: QUIC's next probe is further away each time.
        assert_eq!(watch.step(seen(5, 0, 14)), Step::Pulse);
        // The first sound is answered. What it leaves in flight is unacknowledged, although nothing more was sent.
        assert_eq!(watch.step(seen(6, 900, 15)), Step::Pulse);
        assert_eq!(watch.step(seen(7, 900, 16)), Step::Wait);
        assert_eq!(watch.step(seen(7, 900, 16)), Step::Pulse);
        assert_eq!(watch.step(seen(8, 0, 17)), Step::Wait);
        assert_eq!(watch.step(seen(8, 0, 17)), Step::Wait);
        assert_eq!(watch.step(seen(8, 0, 17)), Step::Rest);
    }

    #[test]
    fn one_message_that_is_acknowledged_is_not_pulsed() {
        let mut watch = from(seen(5, 0, 10));
        assert_eq!(watch.step(seen(6, 0, 11)), Step::Wait);
        assert_eq!(watch.step(seen(6, 0, 11)), Step::Wait);
        assert_eq!(watch.step(seen(6, 0, 11)), Step::Rest);
    }

    #[test]
    fn what_was_sent_after_the_last_acknowledgement_is_pulsed_once_quic_probes() {
        let mut watch = from(seen(5, 0, 10));
        assert_eq!(watch.step(seen(6, 0, 12)), Step::Wait);
        assert_eq!(watch.step(seen(6, 0, 12)), Step::Wait);
        assert_eq!(watch.step(seen(6, 0, 13)), Step::Pulse);
    }

    #[test]
    fn a_busy_link_is_never_pulsed_and_one_that_only_receives_rests() {
        let mut watch = Watch::default();
        for n in 1..100 {
            assert_eq!(watch.step(seen(n, n % 3 * 1_000, n)), Step::Wait);
        }
        assert_eq!(watch.step(seen(99, 0, 99)), Step::Wait);
        assert_eq!(watch.step(seen(99, 0, 99)), Step::Rest);
    }

    #[test]
    fn a_window_that_an_outage_used_up_lets_one_pulse_out_and_no_more() {
        let now = Instant::now();
        let mut controller = Arc::new(Control::default()).build(now, 1_200);
        let window = controller.window();
        controller.on_sent(now, window, 7);
        let shared = controller.clone_box().into_any().downcast::<Opened>().unwrap().flight;
        assert_eq!(controller.window(), window);
        shared.open();
        assert_eq!(controller.window(), window + ROOM);
        // The next pulse is not in the way of the one before.
        controller.on_sent(now, 1_200, 8);
        shared.open();
        assert_eq!(controller.window(), window + 1_200 + ROOM);
        // An acknowledgement that leaves more in flight than the window does not stop the sender.
        controller.on_end_acks(now, window + 500, false, Some(1));
        assert_eq!(controller.window(), window + 500 + ROOM);
        controller.on_end_acks(now, 0, false, Some(8));
        assert_eq!(controller.window(), window);
    }
}
