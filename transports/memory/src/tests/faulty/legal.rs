//! Whatever legal faults do, and whenever they change, the contract holds.

use std::collections::BTreeMap;

use formic_core::Random;

use super::*;

const PEERS: u8 = 3;
const STEPS: u64 = 400;
const SEEDS: u64 = 500;

/// One end with its contract and what it sent and got per link and class.
struct Watched {
    end: Wrapped,
    contract: Contract,
    links: Vec<(LinkId, PeerId)>,
    sent: BTreeMap<(LinkId, Class), u64>,
}

impl Watched {
    fn take(&mut self, seed: u64) {
        let mut out = Vec::new();
        let mut cx = core::task::Context::from_waker(core::task::Waker::noop());
        while let core::task::Poll::Ready(Ok(_)) = self.end.poll_events(&mut cx, &mut out, 64) {}
        for event in out {
            self.contract.event(&event, |number| *number).unwrap_or_else(|breach| {
                panic!("seed {seed}: {} breaks {breach}", self.end.local());
            });
            match event {
                Event::Up { link, peer, .. } => self.links.push((link, peer.peer)),
                Event::Down { link, .. } => self.links.retain(|(of, _)| *of != link),
                _ => {}
            }
        }
    }

    fn send(&mut self, random: &mut Random) {
        let Some((link, _)) = random.pick(&self.links).copied() else { return };
        let classes = [Class::Control, Class::Data, Class::Bulk, Class::Unreliable];
        let Some(class) = random.pick(&classes).copied() else { return };
        let number = self.sent.entry((link, class)).or_default();
        match self.end.try_send(link, class, *number) {
            Ok(()) => {
                *number += 1;
                self.contract.accepted(link, class);
            }
            Err(refused) if refused.reason == LinkError::Full => self.contract.full(link, class),
            Err(_) => {}
        }
    }
}

fn change(faults: &Faults, random: &mut Random) {
    let peer = |random: &mut Random| who(1 + random.below(PEERS.into()) as u8);
    let (one, other) = (peer(random), peer(random));
    match random.below(9) {
        0 => faults.one_way([one], [other]),
        1 => faults.partition([one], [other]),
        2 | 3 => faults.heal(),
        4 => faults.cut(one, other),
        5 => faults.stall(one),
        6 => (1..=PEERS).for_each(|peer| faults.resume(who(peer))),
        7 => faults.slow(one, Some(Pace { events: 5, every: 3 * MS })).unwrap(),
        _ => {
            let delay = match random.below(3) {
                0 => Delay::None,
                1 => Delay::Uniform { min: MS, max: 9 * MS },
                _ => Delay::Exponential { mean: 4 * MS },
            };
            let storm = Storm { permille: 100, lasts: 3 * MS };
            let unreliable = rates(100, 0, 400);
            let edit = |it: &mut Weather| {
                (it.delay, it.storm, it.unreliable) = (delay, storm, unreliable);
            };
            faults.weather_between(one, other, weather(edit)).unwrap();
        }
    }
}

async fn run(seed: u64) -> crate::Injected {
    let mut random = Random::new(seed);
    let (faults, hub) = (Faults::legal(seed), small());
    faults.lose_links_after(seed.is_multiple_of(2).then_some(30 * MS));
    let mut ends: Vec<Watched> = (1..=PEERS)
        .map(|peer| Watched {
            end: wrapped(&hub, &faults, peer),
            contract: Contract::new(),
            links: vec![],
            sent: Default::default(),
        })
        .collect();
    for _ in 0..STEPS {
        let at = random.below(PEERS.into()) as usize;
        match random.below(20) {
            0 => change(&faults, &mut random),
            1 => sleep(MS * random.below(8) as u32).await,
            2..=4 => ends[at].take(seed),
            5 => {
                let to = random.below(PEERS.into()) as usize;
                let (peer, addresses) = (ends[to].end.local().peer, ends[to].end.addresses());
                drop(ends[at].end.connect(peer, &addresses).await);
            }
            6 if random.chance(300) => {
                if let Some((link, _)) = random.pick(&ends[at].links).copied() {
                    ends[at].end.close(link, CloseReason::Closed).await;
                }
            }
            _ => ends[at].send(&mut random),
        }
    }
    // Calm: all that was accepted on links that are up arrives.
    faults.heal();
    (1..=PEERS).for_each(|peer| faults.resume(who(peer)));
    (1..=PEERS).for_each(|peer| faults.slow(who(peer), None).unwrap());
    for _ in 0..50 {
        sleep(10 * MS).await;
        ends.iter_mut().for_each(|end| end.take(seed));
    }
    for (from, to) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
        let of = |end: &Watched, peer| end.links.iter().find(|(_, of)| *of == peer).copied();
        let there = of(&ends[from], ends[to].end.local().peer);
        let here = of(&ends[to], ends[from].end.local().peer);
        let (Some((there, _)), Some((here, _))) = (there, here) else {
            assert_eq!((there, here), (None, None), "seed {seed}: half a link");
            continue;
        };
        for class in RELIABLE {
            let sent = ends[from].sent.get(&(there, class)).copied().unwrap_or_default();
            let received = ends[to].contract.received(here, class);
            assert_eq!(sent, received, "seed {seed}: {class:?} from {from} to {to}");
        }
    }
    faults.injected()
}

#[tokio::test(start_paused = true)]
async fn legal_faults_keep_the_contract_in_500_seeds() {
    let mut sums = [0; 7];
    for seed in 0..SEEDS {
        let did = run(seed).await;
        let counts = [
            did.delayed,
            did.lost,
            did.duplicated,
            did.reordered,
            did.storms,
            did.blocked,
            did.cuts,
        ];
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    // Everything that is legal happened, and nothing that is not.
    let [delayed, lost, duplicated, reordered, storms, blocked, cuts] = sums;
    assert_eq!(duplicated, 0);
    let happened = [delayed, lost, reordered, storms, blocked, cuts];
    assert!(happened.iter().all(|count| *count > 100), "{happened:?}");
}
