//! The failure detector of the simulated world: sees all, says it late, is sometimes wrong.

use core::time::Duration;
use std::collections::BTreeMap;

use formic_core::{Incarnation, Life, PeerId, Time};

use super::world::{Host, What, World, index};

impl World<'_> {
    fn pair(observer: Life, life: Life) -> [u64; 4] {
        let peers = [index(observer) as u64, index(life) as u64];
        [peers[0], observer.incarnation.0, peers[1], life.incarnation.0]
    }

    fn see(&mut self, observer: Life, life: Life) {
        let slow = self.draw.chance("slow-up", &Self::pair(observer, life), 50);
        let most = if slow { 400_000 } else { 3_000 };
        let delay = self.draw.below("up", &Self::pair(observer, life), most);
        self.after(delay, What::Up { observer, life });
    }

    /// A life starts: all see it, and it sees who is there and who is gone.
    pub(super) fn meet(&mut self, born: Life) {
        for peer in 0..self.hosts.len() {
            let other = &self.hosts[peer];
            let (life, alive, started) = (other.life, other.alive, other.has_started());
            if life.peer == born.peer || !started {
                continue;
            }
            if alive {
                self.see(life, born);
                self.see(born, life);
            } else {
                self.after(1_000, What::Down { observer: born, life });
            }
        }
    }

    /// A life ends: all hear it, each in its own time, perhaps after its successor.
    pub(super) fn mourn(&mut self, dead: Life) {
        for peer in 0..self.hosts.len() {
            let observer = self.hosts[peer].life;
            if self.hosts[peer].alive {
                let wait = self.draw.below("down", &Self::pair(observer, dead), 500_000);
                self.after(100_000 + wait, What::Down { observer, life: dead });
            }
        }
    }

    pub(super) fn suspect(&mut self, observer: usize, target: usize, span: Duration) {
        let (observer, life) = (self.hosts[observer].life, self.hosts[target].life);
        if observer.peer == life.peer || !self.hosts[target].alive {
            return;
        }
        self.report.suspicions += 1;
        self.after(0, What::Down { observer, life });
        self.at(self.now + span, What::Up { observer, life });
    }

    pub(super) fn freeze(&mut self, peer: usize, span: Duration) {
        let (life, alive) = (self.hosts[peer].life, self.hosts[peer].alive);
        if !alive {
            return;
        }
        let thaw = self.now + span;
        self.hosts[peer].frozen_until = thaw;
        self.at(thaw, What::Thaw { peer });
        if span < Duration::from_millis(350) {
            return;
        }
        self.report.suspicions += 1;
        for other in 0..self.hosts.len() {
            let observer = self.hosts[other].life;
            if other != peer && self.hosts[other].alive {
                self.after(350_000, What::Down { observer, life });
                self.at(thaw + Duration::from_millis(5), What::Up { observer, life });
            }
        }
    }

    /// The newest life of each peer that this one was told of as up.
    pub(super) fn met_by(&self, observer: Life) -> Vec<Life> {
        let lives = (observer, Life::new(PeerId::from_bytes([0; 32]), Incarnation(0)))..;
        let of = self.met.range(lives).take_while(|(by, _)| *by == observer);
        let newest: BTreeMap<PeerId, Life> = of.map(|(_, life)| (life.peer, *life)).collect();
        newest.into_values().collect()
    }

    /// From here on the detector is right about everybody.
    pub(super) fn calm(&mut self) {
        let lives = |host: &Host| host.has_started().then_some((host.life, host.alive));
        let all: Vec<(Life, bool)> = self.hosts.iter().filter_map(lives).collect();
        for (observer, _) in all.iter().filter(|(_, alive)| *alive) {
            for (life, alive) in all.iter().filter(|(life, _)| life.peer != observer.peer) {
                self.correct(*observer, (*life, *alive));
            }
        }
        self.commit();
    }

    /// A detector repeats nothing: it speaks where what it said last was wrong.
    fn correct(&mut self, observer: Life, (life, alive): (Life, bool)) {
        if self.told.get(&(observer, life)) != Some(&alive) {
            let up = What::Up { observer, life };
            let truth = if alive { up } else { What::Down { observer, life } };
            self.at(self.now.max(Time::from_us(1)), truth);
        }
    }
}
