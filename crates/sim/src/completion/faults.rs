//! Faults: when they strike, and the end of a life.

use core::time::Duration;

use formic_core::Life;

use super::{
    plan::Fault,
    world::{Checked, What, World},
};

/// A crash this long before the calm is over by then, with its peer back and known.
const CALM_BEFORE: Duration = Duration::from_millis(2_500);

impl World<'_> {
    pub(super) fn fault(&mut self, number: usize) -> Checked {
        let Some((_, fault)) = self.plan.faults.get(number).copied() else { return Ok(()) };
        match fault {
            Fault::Crash { peer, .. } => {
                let host = &mut self.hosts[peer];
                if !host.alive {
                    return Ok(());
                }
                let life = host.life;
                let left = self.draw.index("fuse", &[number as u64], 8);
                if left < 4 {
                    return self.burn(life, number);
                }
                host.fuse = Some((left - 4, number));
                self.after(50_000, What::Burn { life, number });
            }
            Fault::Suspect { observer, target, span } => self.suspect(observer, target, span),
            Fault::Freeze { peer, span } => self.freeze(peer, span),
        }
        Ok(())
    }

    /// The fault that waits for `Complete`: the window between it and the verdict is short.
    pub(super) fn strike_completer(&mut self, peer: usize) {
        let Some((number, after)) = self.plan.at_complete else { return };
        let fits = match self.plan.faults.get(number) {
            Some((_, Fault::Crash { peer: planned, .. })) => *planned == peer,
            _ => false,
        };
        if fits && !self.struck && self.now + CALM_BEFORE < self.plan.calm {
            self.struck = true;
            self.at(self.now + after, What::Fault { number });
        }
    }

    /// The end of a life.
    pub(super) fn burn(&mut self, life: Life, number: usize) -> Checked {
        if !self.is_alive(life) {
            return Ok(());
        }
        let Some((_, Fault::Crash { peer, back, disk })) = self.plan.faults.get(number).copied()
        else {
            return Ok(());
        };
        self.note(|| format!("{life} CRASHES, fault {number}, disk {disk}, back {back:?}"));
        self.report.crashes += 1;
        let host = &mut self.hosts[peer];
        host.alive = false;
        host.bodies.clear();
        host.fuse = None;
        if !disk {
            host.disk.clear();
        }
        self.truth.running.retain(|(at, _), _| *at != life);
        self.mourn(life);
        self.plan_commit(life, (700_000, 600_000));
        if let Some(back) = back {
            self.at(self.now + back, What::Start { peer });
        }
        Ok(())
    }
}
