use core::{str::FromStr, time::Duration};

use formic_core::Random;

use crate::{
    exit::Stop,
    span::{BadSpan, parse_span},
};

/// Chaos: a network that falls into two parts for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Peers of each part.
    sides: (u32, u32),
    /// How long after the job was accepted.
    after: Duration,
    lasts: Duration,
}

/// Why a text is no `--partition`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BadPartition {
    /// Not of the form.
    #[error("expected A|B@TIME+DURATION with the sizes of both parts, e.g. '6|4@500ms+10s'")]
    Shape,
    /// A time is none.
    #[error(transparent)]
    Time(#[from] BadSpan),
}

impl FromStr for Partition {
    type Err = BadPartition;

    fn from_str(text: &str) -> Result<Self, BadPartition> {
        let (sides, times) = text.split_once('@').ok_or(BadPartition::Shape)?;
        let (one, other) = sides.split_once('|').ok_or(BadPartition::Shape)?;
        let (after, lasts) = times.split_once('+').ok_or(BadPartition::Shape)?;
        let side = |text: &str| match text.parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(BadPartition::Shape),
        };
        let sides = (side(one)?, side(other)?);
        Ok(Self { sides, after: parse_span(after)?, lasts: parse_span(lasts)? })
    }
}

/// What happens to the network now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// These peers and the others cannot reach each other.
    Cut {
        /// One part, sorted.
        side: Vec<usize>,
    },
    /// All can reach all.
    Heal,
}

/// Cuts and heals that are still to come.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// The next one last.
    changes: Vec<(Duration, Change)>,
}

impl Cuts {
    /// Who is on which side is drawn from the seed.
    ///
    /// # Errors
    /// Exit 2: the parts are not all the peers, or two cuts overlap.
    pub(crate) fn new(cuts: &[Partition], peers: usize, seed: u64) -> Result<Self, Stop> {
        let mut random = Random::new(seed ^ 0x00c0_ffee);
        let mut cuts = cuts.to_vec();
        cuts.sort_by_key(|cut| cut.after);
        let overlap = cuts.windows(2).any(|pair| pair[0].after + pair[0].lasts > pair[1].after);
        if overlap {
            return Err(Stop::usage("--partition: two cuts overlap; the second must start later"));
        }
        let mut changes = Vec::new();
        for cut in cuts {
            let (one, other) = (cut.sides.0 as usize, cut.sides.1 as usize);
            if one + other != peers {
                return Err(Stop::usage(format!(
                    "--partition {one}|{other}: the two parts are {} peers, but {peers} start",
                    one + other
                )));
            }
            let mut left: Vec<usize> = (0..peers).collect();
            let mut side = Vec::new();
            while side.len() < one {
                let chosen = random.below(left.len() as u64);
                side.push(left.remove(usize::try_from(chosen).unwrap_or(0)));
            }
            side.sort_unstable();
            changes.push((cut.after, Change::Cut { side }));
            changes.push((cut.after + cut.lasts, Change::Heal));
        }
        changes.reverse();
        Ok(Self { changes })
    }

    /// What is due, `elapsed` after the job was accepted.
    pub(crate) fn due(&mut self, elapsed: Duration) -> Vec<Change> {
        let mut due = Vec::new();
        while let Some((_, change)) = self.changes.pop_if(|(at, _)| *at <= elapsed) {
            due.push(change);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(texts: &[&str], peers: usize) -> Result<Cuts, Stop> {
        let cuts: Vec<Partition> = texts.iter().map(|text| text.parse().unwrap()).collect();
        Cuts::new(&cuts, peers, 7)
    }

    #[test]
    fn a_partition_begins_and_ends() {
        let mut cuts = cuts(&["6|4@500ms+10s"], 10).unwrap();
        assert!(cuts.due(Duration::from_millis(499)).is_empty());
        let begun = cuts.due(Duration::from_millis(500));
        assert!(matches!(&begun[..], [Change::Cut { side }] if side.len() == 6), "{begun:?}");
        assert!(cuts.due(Duration::from_millis(10_499)).is_empty());
        assert_eq!(cuts.due(Duration::from_millis(10_500)), [Change::Heal]);
    }

    #[test]
    fn a_bad_partition_says_what_is_expected() {
        for bad in ["6", "6|4", "6|4@1s", "6|0@1s+1s", "a|b@1s+1s", "6|4@1+1s"] {
            assert!(bad.parse::<Partition>().is_err(), "{bad}");
        }
        assert!(cuts(&["6|4@1s+1s"], 9).is_err());
        assert!(cuts(&["1|1@1s+5s", "1|1@2s+1s"], 2).is_err());
    }
}
