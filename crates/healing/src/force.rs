//! An operator goes on without a majority that is lost for ever (healing.md section 6.6).

use core::time::Duration;
use std::{collections::BTreeSet, sync::Arc};

use formic_core::{Digest, Epoch, Forced, Life, Member, PeerId, Time, View};

use crate::{Event, ForceRefusal, Healing, Message, Standing};

/// How long the listed members are given to agree.
const ANSWER: Duration = Duration::from_secs(2);
/// Far above every epoch that the other side may have committed meanwhile.
const LEAP: u64 = 1 << 32;

/// A forced view that waits for the consent of its members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Forcing {
    view: Arc<View>,
    missing: BTreeSet<PeerId>,
    pub(crate) until: Time,
}

impl Healing {
    pub(crate) fn on_force(&mut self, members: Vec<PeerId>, epoch: Epoch, reason: String) {
        match self.forced_view(&members, epoch, reason) {
            Err(reason) => self.event(Event::ForceRefused { reason }),
            Ok(view) => {
                let me = self.me.life;
                let others: Vec<Life> = view.lives().filter(|life| *life != me).collect();
                let missing = others.iter().map(|life| life.peer).collect();
                let view = Arc::new(view);
                for to in others {
                    self.send(to, Message::Force { view: Arc::clone(&view) });
                }
                self.forcing = Some(Forcing { view, missing, until: self.now + ANSWER });
                self.check_forced();
            }
        }
    }

    fn forced_view(
        &self,
        members: &[PeerId],
        epoch: Epoch,
        reason: String,
    ) -> Result<View, ForceRefusal> {
        let watch = self.watch.as_ref().ok_or(ForceRefusal::NotMembers)?;
        let ours = watch.view.epoch;
        if self.standing == Standing::Held {
            return Err(ForceRefusal::QuorumHeld);
        }
        if ours != epoch {
            return Err(ForceRefusal::WrongEpoch { ours });
        }
        let listed: BTreeSet<PeerId> = members.iter().copied().collect();
        let known = listed.iter().all(|peer| watch.view.member(*peer).is_some());
        if !known || !listed.contains(&self.me.life.peer) {
            return Err(ForceRefusal::NotMembers);
        }
        let (kept, dropped): (Vec<Member>, Vec<Member>) =
            watch.view.members.iter().partition(|member| listed.contains(&member.life.peer));
        let mut members: Vec<_> = kept;
        for member in &mut members {
            // A restarted peer is meant as it lives now.
            let newest = self.newest(member.life);
            if newest.peer == self.me.life.peer {
                *member = self.me;
            } else {
                member.life = newest;
            }
        }
        let dropped = dropped.iter().map(|member| member.life).collect();
        let forced = Forced { operator: self.me.life.peer, reason, dropped };
        let previous = watch.view.hash();
        Ok(View { epoch: Epoch(ours.0 + LEAP), members, previous, forced: Some(forced) })
    }

    /// Asked to agree: only one that sees no majority either does.
    pub(crate) fn on_force_of(&mut self, from: Life, view: &Arc<View>) {
        self.heard(from);
        let Some(ours) = self.view() else { return };
        let follows = view.previous == ours.hash() && view.epoch.0 == ours.epoch.0 + LEAP;
        if self.standing == Standing::Lost && follows && view.contains(self.me.life) {
            self.send(from, Message::Consent { view: view.hash() });
        }
    }

    pub(crate) fn on_consent(&mut self, from: Life, view: Digest) {
        self.heard(from);
        if let Some(forcing) = &mut self.forcing
            && forcing.view.hash() == view
        {
            forcing.missing.remove(&from.peer);
            self.check_forced();
        }
    }

    fn check_forced(&mut self) {
        let agreed = |forcing: &mut Forcing| forcing.missing.is_empty();
        if let Some(forcing) = self.forcing.take_if(agreed) {
            self.install_forced(forcing.view);
        }
    }

    pub(crate) fn force_deadline(&mut self) {
        let now = self.now;
        if let Some(forcing) = self.forcing.take_if(|forcing| forcing.until <= now) {
            let missing = forcing.missing.len();
            self.event(Event::ForceRefused { reason: ForceRefusal::NoConsent { missing } });
        }
    }
}
