//! The double check: seal wave, statement, attestations, verdict (T19 to T24, section 7).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_core::{Digest, Life, Outcome, rule};
use formic_register::is_quorum;

use crate::{
    Attestation, BadCertificate, Certificate, Completion, Decree, Effect, Error, Event, Message,
    Record, Seal, Statement, Verdict,
    home::{Origin, Reign},
    timers::Timer,
};

/// A sealed life that hears no verdict asks after so many times `resend`.
const ASK_ROUNDS: u32 = 8;
/// How often the pause between two questions doubles.
const ASK_SLOWEST: u32 = 6;

/// What the cross-check of the two proofs said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Doubt {
    #[default]
    None,
    /// The verdict is held back: a member may not have been met yet.
    Held,
    /// Held back for a lease; reported, if the counts should have been complete.
    Over,
}

/// Whether what all members did for the job is in some seal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Past {
    #[default]
    Sealed,
    /// A peer was met first in a later life: what it did in an earlier one is in no seal.
    Hidden,
}

/// Where the double check is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Wave {
    /// Lives that have not sealed yet, per life (8.3 #8); `None` before the wave.
    probing: Option<BTreeSet<Life>>,
    sealed: BTreeMap<Life, Seal>,
    statement: Option<Arc<Statement>>,
    attestations: BTreeMap<Life, Attestation>,
    doubt: Doubt,
    past: Past,
    /// How often all were asked for the verdict, up to a limit, and which member is asked next.
    asked: (u32, usize),
    /// Lives that have not confirmed the verdict.
    pub(crate) announcing: BTreeSet<Life>,
    /// Whether this life spreads the verdict.
    pub(crate) announces: bool,
}

impl Wave {
    /// The home group changed: what was stated about it is void.
    pub(crate) fn forget_statement(&mut self) {
        self.statement = None;
        self.attestations.clear();
    }
}

impl Completion {
    /// T19.
    pub(crate) fn start_wave(&mut self) {
        if self.wave.probing.is_some() {
            return;
        }
        self.seal();
        if let Some(seal) = self.sealed {
            self.wave.sealed.insert(self.me, seal);
        }
        let mut probing: BTreeSet<Life> = self.members.lives().into_iter().collect();
        probing.retain(|life| !self.wave.sealed.contains_key(life));
        self.wave.probing = Some(probing);
        self.send_probes();
        self.timers.set(Timer::Wave, self.now + self.config.resend);
    }

    fn send_probes(&mut self) {
        let (Some(probing), Some(decree)) = (&self.wave.probing, &self.home.decided) else {
            return;
        };
        let (result, generation) = (decree.outcome.digest(), self.home.generation());
        let up = probing.iter().copied().filter(|life| !self.members.is_down(*life));
        for life in up.collect::<Vec<_>>() {
            self.send(life, Message::Probe { result, generation });
        }
    }

    /// T13 while probing: the probe set is per life (8.3 #8).
    pub(crate) fn probe_newcomer(&mut self, life: Life) {
        let same = |sealed: &Life| match rule!("completion/probe-per-life") {
            true => *sealed == life,
            false => sealed.peer == life.peer,
        };
        let sealed = self.wave.sealed.keys().any(same);
        let Some(probing) = &mut self.wave.probing else { return };
        if !sealed && probing.insert(life) {
            if life.incarnation.0 > 1 {
                self.wave.past = Past::Hidden;
            }
            self.send_probes();
            self.timers.arm(Timer::Wave, self.now + self.config.resend);
        }
    }

    pub(crate) fn vet_probe(
        &self,
        from: Life,
        result: Digest,
        generation: u32,
    ) -> Result<(), Error> {
        self.vet_home_peer(from, generation)?;
        self.vet_result(from, result)
    }

    fn vet_result(&self, from: Life, result: Digest) -> Result<(), Error> {
        let closed = self.closed.as_ref().map(|verdict| verdict.certificate.statement.result);
        let decided = self.home.decided.as_ref().map(|decree| decree.outcome.digest());
        match closed.or(decided) {
            Some(known) if known != result => Err(Error::OtherResult { from }),
            _ => Ok(()),
        }
    }

    /// T20.
    pub(crate) fn on_probe(&mut self, from: Life) {
        self.seal();
        if let Some(seal) = self.sealed {
            self.send(from, Message::Sealed { seal });
        }
        self.ask_later();
    }

    /// Whoever was to announce the verdict here may have died, and those who know it may have begun new
    /// lives, or think that this one knows nothing of the job: one member after the other is asked.
    pub(crate) fn ask_later(&mut self) {
        if self.closed.is_none() {
            self.timers.arm(Timer::Ask, self.now + self.config.resend * ASK_ROUNDS);
        }
    }

    pub(crate) fn on_ask_timer(&mut self) {
        if self.closed.is_some() {
            return;
        }
        let mut lives = self.members.lives();
        lives.retain(|life| *life != self.me && !self.members.is_down(*life));
        let (round, place) = self.wave.asked;
        if let Some(next) = lives.get(place) {
            let home = self.home.spec.as_ref().map(|_| self.home.generation());
            self.send(*next, Message::Ask { home });
        }
        // Once around at this pace, then slower and slower: nobody may be left who knows it.
        self.wave.asked = match place + 1 < lives.len() {
            true => (round, place + 1),
            false => ((round + 1).min(ASK_SLOWEST), 0),
        };
        let pause = self.config.resend * ASK_ROUNDS;
        self.timers.set(Timer::Ask, self.now + pause * (1 << round));
    }

    /// T21, T21b.
    pub(crate) fn on_sealed(&mut self, from: Life, seal: Seal) {
        if self.closed.is_some() {
            return;
        }
        self.wave.sealed.insert(from, seal);
        if let Some(probing) = &mut self.wave.probing {
            probing.remove(&from);
        } else if self.home.rank.is_none() {
            self.seal(); // Nobody seals before the result is decided (I5).
        } else if rule!("completion/T21") {
            self.home.reign = Reign::Acts;
            if self.home.decided.is_none() {
                self.learn_result();
            }
        }
    }

    /// T22, always last (8.3 #10).
    pub(crate) fn probe_check(&mut self) {
        let Some(probing) = &self.wave.probing else { return };
        if self.wave.statement.is_some() || self.closed.is_some() {
            return;
        }
        if probing.iter().any(|life| !self.members.is_down(*life)) {
            return;
        }
        let (Some(decree), Some(spec)) = (self.home.decided.clone(), self.home.spec.clone()) else {
            return;
        };
        if self.wave.doubt != Doubt::Over && self.disagreement(&decree).is_some() {
            self.wave.doubt = Doubt::Held;
            self.timers.arm(Timer::Anomaly, self.now + self.config.lease);
            return;
        }
        let statement = Statement {
            job: self.job,
            plan: spec.plan,
            result: decree.outcome.digest(),
            tally: decree.tally,
            home: self.home.lives.clone(),
            sealed: self.wave.sealed.iter().map(|(life, seal)| (*life, *seal)).collect(),
            excluded: probing.iter().copied().collect(),
        };
        self.wave.statement = Some(Arc::new(statement));
        self.ask_attestations();
    }

    /// Section 7: where nothing was disturbed, every task sent was accepted, finished, and is over.
    fn disagreement(&self, decree: &Decree) -> Option<String> {
        let seals = self.wave.sealed.values();
        let cancelled = matches!(decree.outcome, Outcome::Cancelled { .. });
        let excluded = self.wave.probing.as_ref().is_some_and(|probing| !probing.is_empty());
        let disturbed = seals.clone().any(|seal| seal.disturbed > 0);
        let disturbed = disturbed || self.wave.past == Past::Hidden;
        if cancelled || excluded || disturbed || self.home.origin != Origin::Accepted {
            return None;
        }
        let sum = |count: fn(&Seal) -> u64| seals.clone().map(count).fold(0, u64::saturating_add);
        let live = sum(|seal| u64::from(seal.live_before));
        let sent = sum(|seal| seal.sent);
        let (accepted, finished) = (sum(|seal| seal.accepted), sum(|seal| seal.finished));
        let tasks = decree.tally.tasks.saturating_add(1);
        if live == 0 && sent == tasks && accepted == sent && finished == sent {
            return None;
        }
        Some(format!(
            "ledger counts {tasks} tasks; {} members sent {sent}, accepted {accepted}, finished \
             {finished}, {live} live",
            self.wave.sealed.len()
        ))
    }

    /// A disagreement that lasts is reported before the verdict is announced all the same: holding
    /// it back for ever would make a lost counter a lost job. Where a life of the mesh was never met here its
    /// part is in no seal: the counts are short, and prove nothing.
    pub(crate) fn on_anomaly_timer(&mut self) {
        let Some(decree) = self.home.decided.clone() else { return };
        if self.closed.is_none()
            && self.wave.doubt == Doubt::Held
            && let Some(what) = self.disagreement(&decree)
        {
            self.wave.doubt = Doubt::Over;
            if !self.members.has_unmet() {
                self.event(Event::Anomaly { what });
            }
        }
    }

    fn ask_attestations(&mut self) {
        let Some(statement) = self.wave.statement.clone() else { return };
        let generation = self.home.generation();
        for life in statement.home.clone() {
            let asked = !self.wave.attestations.contains_key(&life);
            if asked && !self.members.is_down(life) {
                let statement = Arc::clone(&statement);
                self.send(life, Message::Attest { statement, generation });
            }
        }
    }

    pub(crate) fn vet_attest(
        &self,
        from: Life,
        statement: &Statement,
        generation: u32,
    ) -> Result<(), Error> {
        self.vet_home_peer(from, generation)?;
        self.vet_result(from, statement.result)?;
        let Some(spec) = &self.home.spec else { return Ok(()) };
        let ours = self.home.lives.iter().map(|life| life.peer);
        let same = generation != self.home.generation()
            || ours.eq(statement.home.iter().map(|life| life.peer));
        let tally = self.home.decided.as_ref().is_none_or(|decree| decree.tally == statement.tally);
        let good = same && tally && statement.job == self.job && statement.plan == spec.plan;
        if good { Ok(()) } else { Err(Error::OtherResult { from }) }
    }

    /// A statement was checked by `vet_attest` or built here: sign it if the result is known.
    pub(crate) fn on_attest(&mut self, from: Life, statement: &Statement, generation: u32) {
        if self.home.spec.is_none() || generation != self.home.generation() {
            return; // The job's record is still on its way; the statement comes again.
        }
        if self.home.decided.is_none() && self.closed.is_none() {
            return self.learn_result();
        }
        self.seal();
        self.out.push(Effect::Sign { to: from, statement: statement.digest() });
    }

    pub(crate) fn on_attested(&mut self, digest: Digest, attestation: Attestation) {
        let Some(statement) = self.wave.statement.clone() else { return };
        let home = statement.home.contains(&attestation.signer);
        if self.closed.is_some() || statement.digest() != digest || !home {
            return;
        }
        self.wave.attestations.insert(attestation.signer, attestation);
        let signed = |(_, life): &(usize, &Life)| self.wave.attestations.contains_key(life);
        let ranks =
            statement.home.iter().enumerate().filter(signed).map(|(rank, _)| rank).collect();
        if !is_quorum(&ranks, statement.home.len(), 0) {
            return;
        }
        let Some(decree) = self.home.decided.as_deref().cloned() else { return };
        let attestations = self.wave.attestations.values().cloned().collect();
        let statement = Arc::unwrap_or_clone(statement);
        self.persist_closed(&decree, &Certificate { statement, attestations });
    }

    fn persist_closed(&mut self, decree: &Decree, certificate: &Certificate) {
        let record = Record::Closed {
            decree: Arc::new(decree.clone()),
            certificate: Arc::new(certificate.clone()),
        };
        self.out.push(Effect::Persist(record));
        let (decree, certificate) = (decree.clone(), certificate.clone());
        self.close(Verdict { decree, certificate });
        self.announce_to_all();
    }

    /// The verdict, once per life.
    pub(crate) fn close(&mut self, verdict: Verdict) {
        self.seal();
        let verdict = Arc::new(verdict);
        self.closed = Some(Arc::clone(&verdict));
        self.wave.probing = None;
        self.wave.sealed.clear();
        self.wave.forget_statement();
        // Whoever did not hear of this life's return still counts on the life before it.
        core::mem::take(&mut self.home.owed).into_iter().for_each(|life| self.announce_to(life));
        self.leave_home();
        self.timers.clear(Timer::Wave);
        self.timers.clear(Timer::Anomaly);
        self.timers.clear(Timer::Ask);
        self.event(Event::Verdict(verdict));
    }

    /// T17, T22: this life spreads the verdict.
    pub(crate) fn announce_to_all(&mut self) {
        self.wave.announces = true;
        self.wave.announcing.extend(self.members.lives());
        self.on_announce_timer();
    }

    pub(crate) fn announce_to(&mut self, life: Life) {
        let Some(verdict) = self.closed.clone() else { return };
        self.wave.announcing.insert(life);
        self.send_verdict(life, &verdict);
        self.timers.arm(Timer::Announce, self.now + self.config.resend);
    }

    fn send_verdict(&mut self, life: Life, verdict: &Verdict) {
        let decree = Arc::new(verdict.decree.clone());
        let certificate = Arc::new(verdict.certificate.clone());
        self.send(life, Message::Announce { decree, certificate });
    }

    /// Repeats the verdict to members that are up; the others hear it when they come.
    pub(crate) fn on_announce_timer(&mut self) {
        let Some(verdict) = self.closed.clone() else { return };
        let members = &self.members;
        self.wave.announcing.retain(|life| !members.is_stale(*life));
        let up = self.wave.announcing.iter().copied().filter(|life| !members.is_down(*life));
        let up: Vec<Life> = up.collect();
        if !up.is_empty() {
            self.timers.set(Timer::Announce, self.now + self.config.resend);
        }
        up.into_iter().for_each(|life| self.send_verdict(life, &verdict));
    }

    pub(crate) fn on_wave_timer(&mut self) {
        if self.closed.is_none() && self.wave.probing.is_some() {
            self.send_probes();
            self.ask_attestations();
            self.timers.set(Timer::Wave, self.now + self.config.resend);
        }
    }

    pub(crate) fn vet_announce(
        &self,
        from: Life,
        decree: &Decree,
        certificate: &Certificate,
    ) -> Result<(), Error> {
        let checked = certificate.check_decree(self.job, decree);
        checked.map_err(|why: BadCertificate| Error::BadAnnounce { from, why })?;
        self.vet_result(from, certificate.statement.result)
    }

    /// T23.
    pub(crate) fn on_announce(&mut self, from: Life, decree: &Decree, certificate: &Certificate) {
        if self.closed.is_none() {
            if self.home.spec.is_some() {
                let record = Record::Closed {
                    decree: Arc::new(decree.clone()),
                    certificate: Arc::new(certificate.clone()),
                };
                self.out.push(Effect::Persist(record));
            }
            let (decree, certificate) = (decree.clone(), certificate.clone());
            self.close(Verdict { decree, certificate });
        }
        self.send(from, Message::AnnounceAck);
    }
}
