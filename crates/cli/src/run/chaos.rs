use core::time::Duration;
use std::collections::BTreeSet;

use formic_core::Random;
use formic_register::is_quorum;

use crate::{
    args::{Kill, Victims},
    exit::Stop,
};

/// Kills that are still to come.
#[derive(Debug)]
pub(crate) struct Chaos {
    /// The next one last.
    kills: Vec<Kill>,
    random: Random,
}

impl Chaos {
    pub(crate) fn new(kills: &[Kill], seed: u64) -> Self {
        let mut kills = kills.to_vec();
        kills.sort_by_key(|kill| core::cmp::Reverse(kill.after));
        Self { kills, random: Random::new(seed) }
    }

    /// Who dies now, `elapsed` after the job was accepted: indexes of peers. `home` are the home peers by rank, `None`
    /// where a home peer is none of ours.
    pub(crate) fn due(
        &mut self,
        elapsed: Duration,
        alive: &[usize],
        home: &[Option<usize>],
    ) -> Vec<usize> {
        let mut alive = alive.to_vec();
        let mut victims = Vec::new();
        while let Some(kill) = self.kills.pop_if(|kill| kill.after <= elapsed) {
            let chosen = match kill.whom {
                Victims::Home => home
                    .iter()
                    .flatten()
                    .find(|it| alive.contains(it))
                    .copied()
                    .into_iter()
                    .collect(),
                Victims::Random(count) => self.draw(count, &alive),
            };
            alive.retain(|index| !chosen.contains(index));
            victims.extend(chosen);
        }
        victims
    }

    /// Kills whose time has not come.
    pub(crate) fn left(&self) -> usize {
        self.kills.len()
    }

    /// Random peers: whoever the seed names, the job's home group included.
    fn draw(&mut self, count: u32, alive: &[usize]) -> Vec<usize> {
        let mut left = alive.to_vec();
        let mut chosen = Vec::new();
        for _ in 0..count {
            let Some(victim) = self.random.pick(&left).copied() else { break };
            left.retain(|index| *index != victim);
            chosen.push(victim);
        }
        chosen
    }
}

/// # Errors
/// Exit 2: more peers are to die than start.
pub(crate) fn fits(kills: &[Kill], peers: usize) -> Result<(), Stop> {
    let dying = kills.iter().fold(0_usize, |sum, kill| match kill.whom {
        Victims::Random(count) => sum.saturating_add(count as usize),
        Victims::Home => sum.saturating_add(1),
    });
    if dying <= peers {
        return Ok(());
    }
    let start = if peers == 1 { "peer starts" } else { "peers start" };
    Err(Stop::usage(format!("--kill: {dying} peers are to be killed, but only {peers} {start}")))
}

/// Whether the home group has a quorum among `alive`.
pub(crate) fn has_quorum(alive: &[usize], home: &[Option<usize>]) -> bool {
    let ranks: BTreeSet<usize> = (0..home.len())
        .filter(|rank| home[*rank].is_none_or(|index| alive.contains(&index)))
        .collect();
    home.is_empty() || is_quorum(&ranks, home.len(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: [Option<usize>; 3] = [Some(0), Some(1), Some(2)];

    fn kills(texts: &[&str]) -> Vec<Kill> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn kills_come_when_they_are_due_and_once() {
        let mut chaos = Chaos::new(&kills(&["1@300ms", "home@100ms"]), 1);
        let alive: Vec<usize> = (0..5).collect();
        assert!(chaos.due(Duration::from_millis(99), &alive, &HOME).is_empty());
        assert_eq!(chaos.due(Duration::from_millis(100), &alive, &HOME), [0]);
        let second = chaos.due(Duration::from_secs(9), &alive[1..], &HOME);
        assert!(matches!(second[..], [1..=4]), "{second:?}");
        assert!(chaos.due(Duration::from_secs(99), &alive, &HOME).is_empty());
    }

    #[test]
    fn more_deaths_than_peers_are_refused() {
        assert_eq!(fits(&kills(&["2@0s", "home@1s"]), 3), Ok(()));
        assert_eq!(
            fits(&kills(&["2@0s", "home@1s"]), 2).unwrap_err().exit,
            crate::exit::Exit::Usage
        );
    }

    #[test]
    fn nobody_is_spared() {
        let alive: Vec<usize> = (0..5).collect();
        let dies = |victim| {
            let due = |seed| Chaos::new(&kills(&["2@0s"]), seed).due(Duration::ZERO, &alive, &HOME);
            (0..200).any(|seed| due(seed).contains(&victim))
        };
        assert!(alive.iter().all(|victim| dies(*victim)));
        assert!(has_quorum(&[1, 2, 4], &HOME) && !has_quorum(&[1, 3, 4], &HOME));
    }

    #[test]
    fn everybody_can_be_killed_and_equal_seeds_kill_equally() {
        let alive: Vec<usize> = (0..10).collect();
        let all = |seed| Chaos::new(&kills(&["10@0s"]), seed).due(Duration::ZERO, &alive, &HOME);
        let mut sorted = all(7);
        sorted.sort_unstable();
        assert_eq!(sorted, alive);
        assert_eq!(all(7), all(7));
        assert!((0..20).any(|seed| all(seed) != all(7)));
    }
}
