//! What others say: voices per subject, trimmed (G4, G5).

use formic_core::rule;

use crate::{
    Config, Record,
    fixed::scale,
    trails::{Fade, Sums},
    units::{SAMPLE, TICKS},
};

/// An aggregate is made anew after so much of a half-life (Q32): the cut does not fade, the voices do.
const FRESH: u64 = (1 << 32) / 32;

/// What one source says about one peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Voice {
    source: u32,
    /// In seconds.
    heard: u32,
    /// In half-lives.
    at: u64,
    sums: Sums,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Subject {
    voices: Vec<Voice>,
    /// Of which moment (half-lives), and what; none: to be made anew.
    aggregate: Option<(u64, Sums)>,
}

/// What was heard about one kind, by slot of the subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Heard {
    subjects: Vec<Subject>,
    voices: usize,
}

/// How much is cut off at each end of what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cut {
    pub(crate) trim_percent: u32,
    pub(crate) source_cap: u32,
    /// How many may speak.
    pub(crate) panel: usize,
}

impl Cut {
    /// G5: 4 x max(1, ceil(0.15 x panel)), in 1/65,536. The panel counts who may speak, not who spoke:
    /// colluders always speak, honest peers only of those they used.
    fn weight(self, speakers: usize) -> u64 {
        let panel = if rule!("pheromones/panel") { self.panel } else { speakers };
        let liars = (panel as u64 * u64::from(self.trim_percent)).div_ceil(100).max(1);
        let trims = u64::from(rule!("pheromones/G5"));
        trims * liars * u64::from(self.source_cap) * SAMPLE
    }
}

impl Heard {
    pub(crate) const fn len(&self) -> usize {
        self.voices
    }

    /// G4: one source counts at most for the cap; a later record replaces its earlier one.
    pub(crate) fn add(
        &mut self,
        config: &Config,
        (source, subject): (u32, u32),
        (heard, at): (u32, u64),
        record: &Record,
    ) {
        if self.subjects.len() <= subject as usize {
            self.subjects.resize(subject as usize + 1, Subject::default());
        }
        let cap =
            if rule!("pheromones/G4") { u64::from(config.source_cap) } else { u64::MAX >> 16 };
        let capped = |sixteenths: u16| (u64::from(sixteenths) * SAMPLE / 16).min(cap * SAMPLE);
        let (count, verified) = (capped(record.count), capped(record.verified));
        let sums = Sums {
            count,
            service: scale(count, record.mean_us * TICKS, SAMPLE),
            verified,
            good: scale(verified, record.good.into(), 10_000),
        };
        let voice = Voice { source, heard, at, sums };
        let subject = &mut self.subjects[subject as usize];
        subject.aggregate = None;
        match subject.voices.iter_mut().find(|voice| voice.source == source) {
            Some(old) => *old = voice,
            None => {
                subject.voices.push(voice);
                self.voices += 1;
            }
        }
    }

    /// What is left after the cut, faded to `at`.
    pub(crate) fn read(&self, subject: u32, at: u64, cut: Cut, quality_factor: u32) -> Sums {
        let Some(subject) = self.subjects.get(subject as usize) else { return Sums::default() };
        match subject.aggregate {
            Some((made, sums)) if at.saturating_sub(made) <= FRESH => {
                sums.faded(Fade::after(at.saturating_sub(made), quality_factor))
            }
            _ => aggregate(&subject.voices, at, cut, quality_factor),
        }
    }

    /// As `read`, and remembers the aggregate. Two reads at one time agree, whichever they are.
    pub(crate) fn refresh(&mut self, subject: u32, at: u64, cut: Cut, quality_factor: u32) -> Sums {
        let sums = self.read(subject, at, cut, quality_factor);
        if let Some(subject) = self.subjects.get_mut(subject as usize)
            && subject.aggregate.is_none_or(|(made, _)| at.saturating_sub(made) > FRESH)
        {
            subject.aggregate = Some((at, sums));
        }
        sums
    }

    /// When each voice was heard, in seconds.
    pub(crate) fn heard(&self) -> impl Iterator<Item = u32> {
        self.subjects.iter().flat_map(|subject| subject.voices.iter().map(|voice| voice.heard))
    }

    /// Keeps what is asked for: source, subject and second are told. All aggregates are made anew.
    pub(crate) fn retain(&mut self, keep: impl Fn(u32, u32, u32) -> bool) {
        self.voices = 0;
        for (number, subject) in self.subjects.iter_mut().enumerate() {
            subject.voices.retain(|voice| keep(voice.source, number as u32, voice.heard));
            subject.aggregate = None;
            self.voices += subject.voices.len();
        }
    }
}

/// G5, speed and quality apart.
fn aggregate(voices: &[Voice], at: u64, cut: Cut, quality_factor: u32) -> Sums {
    let faded = voices
        .iter()
        .map(|voice| voice.sums.faded(Fade::after(at.saturating_sub(voice.at), quality_factor)));
    let (mut speeds, mut qualities) = (Vec::new(), Vec::new());
    for sums in faded {
        if sums.count > 0 {
            speeds.push((scale(sums.service, SAMPLE, sums.count), sums.count));
        }
        if sums.verified > 0 {
            qualities.push((scale(sums.good, 1 << 32, sums.verified), sums.verified));
        }
    }
    let weight = cut.weight(voices.len());
    let (mean, count) = trimmed(&mut speeds, weight).unwrap_or_default();
    let (good, verified) = trimmed(&mut qualities, weight).unwrap_or_default();
    Sums {
        count,
        service: scale(mean, count, SAMPLE),
        verified,
        good: scale(good, verified, 1 << 32).min(verified),
    }
}

/// Mean and weight of what is left when `cut` is taken from each end of the sorted values.
pub(crate) fn trimmed(voices: &mut [(u64, u64)], cut: u64) -> Option<(u64, u64)> {
    voices.sort_unstable();
    let total: u64 = voices.iter().map(|voice| voice.1).sum();
    let left = total.checked_sub(cut.checked_mul(2)?).filter(|left| *left > 0)?;
    let (mut skip, mut take, mut sum) = (cut, left, 0_u128);
    for &(value, weight) in voices.iter() {
        let below = weight.min(skip);
        let inside = (weight - below).min(take);
        (skip, take) = (skip - below, take - inside);
        sum += u128::from(value) * u128::from(inside);
    }
    let mean = u64::try_from(sum / u128::from(left)).unwrap_or(u64::MAX);
    Some((mean, left))
}
