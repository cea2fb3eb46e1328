//! Own trails of one kind: speed and quality per peer (section 3).

use formic_core::Time;

use crate::fixed::Remains;

/// No row.
const VACANT: u32 = u32::MAX;

/// What was seen, faded: completions and the sum of their services (ticks), verified outcomes and good
/// ones among them. Counts in 1/65,536.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sums {
    pub(crate) count: u64,
    pub(crate) service: u64,
    pub(crate) verified: u64,
    pub(crate) good: u64,
}

/// How much is left of a speed trail, and of a quality trail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fade {
    speed: Remains,
    quality: Remains,
}

impl Fade {
    /// After so many half-lives (Q32) of the speed trail.
    pub(crate) fn after(half_lives: u64, quality_factor: u32) -> Self {
        let quality = half_lives / u64::from(quality_factor);
        Self { speed: Remains::after(half_lives), quality: Remains::after(quality) }
    }
}

impl Sums {
    pub(crate) fn faded(self, fade: Fade) -> Self {
        Self {
            count: fade.speed.of(self.count),
            service: fade.speed.of(self.service),
            verified: fade.quality.of(self.verified),
            good: fade.quality.of(self.good),
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            service: self.service.saturating_add(other.service),
            verified: self.verified.saturating_add(other.verified),
            good: self.good.saturating_add(other.good),
        }
    }

    /// Less than a hundredth of a sample: as good as nothing.
    pub(crate) const fn is_faint(&self) -> bool {
        self.count.saturating_add(self.verified) < crate::units::SAMPLE / 100
    }

    pub(crate) fn check(&self) {
        assert!(self.good <= self.verified, "more good outcomes than outcomes (T1): {self:?}");
    }
}

/// A trail with its key: 48 bytes, and 4 of the index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Row {
    slot: u32,
    /// In seconds: for what goes first when the table is full.
    touched: u32,
    /// In half-lives.
    at: u64,
    sums: Sums,
}

/// The trails of one kind, by slot of the peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Trails {
    index: Vec<u32>,
    rows: Vec<Row>,
}

impl Trails {
    pub(crate) const fn len(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, slot: u32) -> Option<&Row> {
        let row = *self.index.get(slot as usize)?;
        self.rows.get(row as usize)
    }

    pub(crate) fn has(&self, slot: u32) -> bool {
        self.row(slot).is_some()
    }

    /// Nothing where nothing is known.
    pub(crate) fn read(&self, slot: u32, at: u64, quality_factor: u32) -> Sums {
        let Some(row) = self.row(slot) else { return Sums::default() };
        row.sums.faded(Fade::after(at.saturating_sub(row.at), quality_factor))
    }

    /// The faded trail, to be added to. Laid if there is none.
    pub(crate) fn touch(
        &mut self,
        slot: u32,
        (now, at): (Time, u64),
        quality_factor: u32,
    ) -> &mut Sums {
        if !self.has(slot) {
            let wanted = slot as usize + 1;
            if self.index.len() < wanted {
                self.index.resize(wanted, VACANT);
            }
            if self.rows.len() == self.rows.capacity() {
                // Doubling would leave a table of 64 bytes a trail half empty.
                self.rows.reserve_exact(self.rows.len() / 8 + 4);
            }
            self.index[slot as usize] = self.rows.len() as u32;
            self.rows.push(Row { slot, touched: 0, at, sums: Sums::default() });
        }
        let row = &mut self.rows[self.index[slot as usize] as usize];
        row.sums = row.sums.faded(Fade::after(at.saturating_sub(row.at), quality_factor));
        row.at = at;
        row.touched = seconds(now);
        &mut row.sums
    }

    /// When each trail was last touched, in seconds.
    pub(crate) fn touched(&self) -> impl Iterator<Item = u32> {
        self.rows.iter().map(|row| row.touched)
    }

    /// Keeps what is asked for: the slot, seconds since it was touched, and the faded trail are told.
    pub(crate) fn retain(
        &mut self,
        at: u64,
        quality_factor: u32,
        keep: impl Fn(u32, u32, &Sums) -> bool,
    ) {
        self.rows.retain(|row| {
            let fade = Fade::after(at.saturating_sub(row.at), quality_factor);
            keep(row.slot, row.touched, &row.sums.faded(fade))
        });
        self.index.fill(VACANT);
        for (number, row) in self.rows.iter().enumerate() {
            self.index[row.slot as usize] = number as u32;
        }
    }

    pub(crate) fn check(&self) {
        for (number, row) in self.rows.iter().enumerate() {
            row.sums.check();
            let indexed = self.index.get(row.slot as usize).copied();
            assert_eq!(indexed, Some(number as u32), "a trail is found by its peer");
        }
        let used = self.index.iter().filter(|row| **row != VACANT).count();
        assert_eq!(used, self.rows.len(), "the index names trails and nothing else");
    }
}

pub(crate) fn seconds(now: Time) -> u32 {
    u32::try_from(now.as_us() / 1_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_takes_at_most_64_bytes() {
        assert_eq!(size_of::<Row>(), 48);
        // Of the index by slot: 4, and 2 of the share cap's count.
        assert!(size_of::<Row>() + 4 + 2 <= 64);
        let mut trails = Trails::default();
        for slot in 0..10_000 {
            trails.touch(slot, (Time::ZERO, 0), 10).count += 1;
        }
        let held = trails.rows.capacity() * size_of::<Row>() + trails.index.capacity() * 4;
        assert!(held <= 64 * trails.len(), "{} bytes a trail", held / trails.len());
    }
}
