//! What machines say, held against what happened.

use formic_completion::{Decree, Event, Verdict};
use formic_core::{Digest, Life, Outcome};

use super::world::{Checked, What, World};
use crate::oracles::{never_early, one_verdict, quiet_is_quiet};

impl World<'_> {
    pub(super) fn event(&mut self, peer: usize, event: Event) -> Checked {
        let life = self.hosts[peer].life;
        self.note(|| format!("{life} says {}", brief_event(&event)));
        match event {
            Event::Accepted => self.truth.accepted = self.truth.accepted.or(Some(self.now)),
            Event::ChildDone { owner, key, .. } => {
                let Some(body) = self.hosts[peer].bodies.get_mut(&owner) else { return Ok(()) };
                if !body.told.insert(key) {
                    let what = format!("{owner} hears twice of {key}");
                    return Err(self.violation("one_commit", what));
                }
                if body.ended {
                    let (life, run) = (life, body.run);
                    self.after(1, What::End { life, key: owner, run });
                }
            }
            Event::Respawned { .. } => self.report.respawns += 1,
            Event::TookOver { .. } => self.report.takeovers += 1,
            Event::Succeeded { groups } => self.succeeded(&groups),
            Event::Complete { outcome, .. } => {
                self.truth.complete = self.truth.complete.or(Some(self.now));
                self.strike_completer(peer);
                if !matches!(outcome, Outcome::Cancelled { .. }) {
                    never_early::at_complete(&self.truth)
                        .map_err(|what| self.violation("never_early", what))?;
                }
            }
            Event::Verdict(verdict) => self.verdict(life, &verdict)?,
            Event::Anomaly { what } => return Err(self.violation("no_anomaly", what)),
            Event::Spawned { .. } | Event::Divergent { .. } | Event::Dropped { .. } => {}
        }
        Ok(())
    }

    fn verdict(&mut self, life: Life, verdict: &Verdict) -> Checked {
        let Decree { outcome, tally } = &verdict.decree;
        let counts = [tally.tasks, tally.ok, tally.failed, tally.executions];
        let counts: Vec<u8> = counts.into_iter().flat_map(u64::to_be_bytes).collect();
        let result = Digest::of(&[outcome.digest().as_bytes(), &counts]);
        one_verdict::at_verdict(&mut self.truth, life, result)
            .map_err(|what| self.violation("one_verdict", what))?;
        let shape = verdict.certificate.check_decree(self.job, &verdict.decree);
        shape.map_err(|why| self.violation("certificates_verify", why.to_string()))?;
        let statement = &verdict.certificate.statement;
        quiet_is_quiet::at_verdict(&self.truth, statement)
            .map_err(|what| self.violation("quiet_is_quiet", what))?;
        let met = self.stated.get(&statement.digest()).map_or(&[][..], Vec::as_slice);
        quiet_is_quiet::at_statement(met, statement)
            .map_err(|what| self.violation("quiet_is_quiet", what))?;
        if self.truth.first_verdict.is_none() {
            self.truth.first_verdict = Some(self.now);
            self.report.exclusions += u64::from(!statement.excluded.is_empty());
            if !matches!(outcome, Outcome::Cancelled { .. }) {
                never_early::at_complete(&self.truth)
                    .map_err(|what| self.violation("never_early", what))?;
            }
        }
        self.truth.last_verdict = Some(self.now);
        Ok(())
    }
}

fn brief_event(event: &Event) -> String {
    format!("{event:?}").chars().take(300).collect()
}
