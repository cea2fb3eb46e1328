//! Numbers both ways over one link, to see what an outage does to them: `cargo xtask hosts reconnect` runs two.
//!
//! ```text
//! numbers LISTEN SEED [DIAL DIAL-SEED]
//! ```
//! Sends 0, 1, 2, .. every millisecond until its stdin ends, then how many there were. Prints `linked`, and when the other
//! end's numbers are all there, one line of JSON.
#![expect(clippy::print_stdout, reason = "a program that another one reads")]

use core::{future::poll_fn, time::Duration};
use std::{error::Error, net::SocketAddr, sync::Arc};

use formic_core::{
    Incarnation, Life,
    transport::{Address, Class, CloseReason, Event, LinkId, Transport as _},
};
use formic_identity::SecretKey;
use formic_quic::{Authority, Config, Quic};
use tokio::{
    io::{AsyncReadExt as _, stdin},
    time::{MissedTickBehavior, interval},
};

type End = Arc<Quic<Number>>;

/// A number, or how many there were.
#[derive(serde::Serialize, serde::Deserialize)]
enum Number {
    Next(u64),
    All(u64),
}

/// What came from the other end.
#[derive(Default)]
struct Seen {
    next: u64,
    skipped: u64,
    repeated: u64,
    all: Option<u64>,
    links: u64,
    downs: u64,
    last_us: u64,
    /// The longest time without a number, and when it ended by the clock of the machine, in microseconds.
    pause: (u64, u64),
}

impl Seen {
    fn take(&mut self, number: u64) {
        let now = boot_us();
        if self.next > 0 {
            self.pause = self.pause.max((now - self.last_us, now));
        }
        self.last_us = now;
        match number.checked_sub(self.next) {
            Some(skipped) => {
                self.skipped += skipped;
                self.next = number + 1;
            }
            None => self.repeated += 1,
        }
    }

    fn is_whole(&self) -> bool {
        self.all.is_some_and(|all| self.next >= all)
    }
}

/// Microseconds since the machine booted.
fn boot_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    part(now.tv_sec) * 1_000_000 + part(now.tv_nsec) / 1_000
}

fn secret(seed: &str) -> Result<SecretKey, Box<dyn Error>> {
    Ok(SecretKey::from_seed([seed.parse()?; 32]))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [listen, seed, dial @ ..] = words.as_slice() else {
        return Err("numbers LISTEN SEED [DIAL DIAL-SEED]".into());
    };
    let (listen, secret_key): (SocketAddr, _) = (listen.parse()?, secret(seed)?);
    let hour = Duration::from_secs(3_600);
    let membership = Authority::new(secret("255")?, 2 * hour)?.admit(&secret_key.public(), hour)?;
    let life = Life::new(secret_key.public().peer_id(), Incarnation(1));
    let mut config = Config::new(listen, life, secret_key);
    config.membership = Some(membership);
    let end: End = Quic::bind(config).await?;
    if let [address, seed] = dial {
        end.connect(secret(seed)?.public().peer_id(), &[Address::new("quic", address)]).await?;
    }
    let seen = exchange(&end).await?;
    println!(
        r#"{{"received":{},"skipped":{},"repeated":{},"links":{},"downs":{},"pause_us":{},"resumed_us":{},"pulses":{}}}"#,
        seen.next,
        seen.skipped,
        seen.repeated,
        seen.links,
        seen.downs,
        seen.pause.0,
        seen.pause.1,
        end.counters().pulses
    );
    end.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

/// Until the other end's numbers are all there and ours are sent.
async fn exchange(end: &End) -> Result<Seen, Box<dyn Error>> {
    let (mut seen, mut link, mut sent, mut said_all) = (Seen::default(), None, 0, false);
    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut input, mut byte, mut ended) = (stdin(), [0; 1], false);
    let mut events = Vec::new();
    while !(said_all && seen.is_whole()) {
        tokio::select! {
            _ = poll_fn(|cx| end.poll_events(cx, &mut events, 256)) => {
                events.drain(..).for_each(|event| take(event, &mut seen, &mut link));
            }
            _ = input.read(&mut byte), if !ended => ended = true,
            _ = ticks.tick(), if link.is_some() && !said_all => {
                let Some(link) = link else { continue };
                // What is refused is said again at the next tick.
                let number = if ended { Number::All(sent) } else { Number::Next(sent) };
                if end.try_send(link, Class::Data, number).is_ok() {
                    (sent, said_all) = (sent + u64::from(!ended), ended);
                }
            }
        }
    }
    Ok(seen)
}

fn take(event: Event<Number>, seen: &mut Seen, link: &mut Option<LinkId>) {
    match event {
        Event::Up { link: up, .. } => {
            seen.links += 1;
            *link = Some(up);
            println!("linked");
        }
        Event::Message { message: Number::Next(number), .. } => seen.take(number),
        Event::Message { message: Number::All(all), .. } => seen.all = Some(all),
        // The other end may have all of ours, and be gone, before its own are all taken.
        Event::Down { reason: CloseReason::ShuttingDown, .. } => {}
        Event::Down { .. } => seen.downs += 1,
        Event::Writable { .. } => {}
    }
}
