use core::time::Duration;
use std::collections::BTreeMap;

use formic_consensus::{DIMENSIONS, Policy, Proposal, Weighting, liars_max};
use formic_core::{Digest, Time};

use super::Lie;
use crate::Draw;

/// What a seed does: who lies how, what the network loses until it heals, who crashes.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) voters: usize,
    pub(crate) liars: BTreeMap<usize, Lie>,
    /// More liars than the protocol bears: forks are allowed, evidence is demanded.
    pub(crate) broken: bool,
    pub(crate) heal: Time,
    pub(crate) delay_max: Duration,
    /// Thousandths of messages, until the network heals.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// Voters on the other side of a cut, and how long it lasts.
    pub(crate) cut: Vec<usize>,
    pub(crate) cut_from: Time,
    /// Who crashes when, and comes back when.
    pub(crate) crashes: Vec<(usize, Time, Time)>,
    /// Who opens what when.
    pub(crate) proposals: Vec<(usize, Time, Proposal)>,
    /// Thousandths of honest voters that approve, and that do not answer.
    pub(crate) approving: u64,
    pub(crate) silent: u64,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let draw = Draw::new(seed);
        let ms = |name: &str, what: u64, bound: u64| {
            Time::ZERO + Duration::from_millis(draw.below(name, &[what], bound))
        };
        let voters = [4, 7, 10][draw.index("voters", &[], 3)];
        let broken = draw.chance("broken", &[], 50);
        let most = liars_max(voters);
        let count = if broken { most + 1 } else { draw.index("liars", &[], most + 1) };
        let mut order: Vec<usize> = (0..voters).collect();
        order.sort_by_key(|rank| draw.bits("order", &[*rank as u64]));
        let lie = |rank: &usize| match Lie::ALL[draw.index("lie", &[*rank as u64], 10)] {
            _ if broken => (*rank, Lie::Twins),
            lie => (*rank, lie),
        };
        let liars: BTreeMap<_, _> = order.iter().take(count).map(lie).collect();
        let honest: Vec<_> = order.into_iter().skip(count).collect();
        let calm = draw.chance("calm", &[], 100);
        let faults = |name: &str, bound: u64| if calm { 0 } else { draw.below(name, &[], bound) };
        let heal = Time::from_us(4_000_000);
        let crash = |at: usize| {
            let from = ms("crash", at as u64, 3_000);
            (honest[at % honest.len()], from, from + Duration::from_millis(1 + faults("away", 900)))
        };
        let crashes = (0..faults("crashes", 4) as usize).map(crash).collect();
        let cut = match (broken, calm) {
            (true, _) => honest[..honest.len() / 2].to_vec(),
            (false, true) => vec![],
            (false, false) => cut(draw, voters),
        };
        let threshold = [667, 750, 900][draw.index("threshold", &[], 3)];
        let proposal = |at: usize| {
            let rank = honest[draw.index("proposer", &[at as u64], honest.len())];
            (rank, ms("open", at as u64, 2_000), ask(at, threshold))
        };
        let asked = (0..1 + draw.index("proposals", &[], 3)).map(proposal);
        // Where the honest are cut in two, somebody asks the same on each side.
        let sides: &[Option<usize>] =
            if broken { &[honest.first().copied(), honest.last().copied()] } else { &[None] };
        let proposals = asked.flat_map(|(rank, at, proposal)| {
            sides.iter().map(move |side| (side.unwrap_or(rank), at, proposal))
        });
        Self {
            voters,
            broken,
            heal,
            delay_max: Duration::from_millis(1 + faults("delay", 150)),
            lost: faults("lost", 250),
            doubled: faults("doubled", 200),
            cut,
            cut_from: if broken { Time::ZERO } else { ms("cut", 0, 2_000) },
            crashes,
            proposals: proposals.collect(),
            approving: [1_000, 900, 500][draw.index("approving", &[], 3)],
            silent: [0, 0, 100][draw.index("silent", &[], 3)],
            liars,
        }
    }
}

/// Who is on one side of a cut; nobody where there is none.
fn cut(draw: Draw, voters: usize) -> Vec<usize> {
    if draw.chance("whole", &[], 500) {
        return vec![];
    }
    (0..voters).filter(|rank| draw.chance("side", &[*rank as u64], 500)).collect()
}

fn ask(number: usize, threshold: u16) -> Proposal {
    let policy = Policy {
        threshold,
        weighting: Weighting::Equal,
        deadline_ms: 1_500,
        floors: [0; DIMENSIONS],
    };
    let subject = Digest::of(&[&number.to_be_bytes()]);
    Proposal { subject, attempt: 0, author: None, policy, payload: subject }
}
