//! What arrives from other peers: checks first, then one step per message.

use formic_core::Life;

use crate::{Error, Healing, Message};

impl Healing {
    pub(crate) fn on_message(&mut self, from: Life, message: Message) -> Result<(), Error> {
        match message {
            Message::Beat(beat) => {
                self.vet_beat(from, &beat)?;
                self.on_beat(from, beat);
            }
            Message::Alert { epoch, suspects } => {
                self.vet_alert(from, epoch, &suspects)?;
                self.on_alert(from, epoch, &suspects);
            }
            Message::Verdict { epoch, life, evidence } => {
                self.vet_verdict(from, (epoch, life), &evidence)?;
                self.on_verdict(from, (epoch, life), evidence);
            }
            Message::Absolve { epoch, life, observer, seq } => {
                self.heard(from);
                self.on_absolve(epoch, life, (observer, seq));
            }
            Message::Probe { number } => self.on_probe(from, number),
            Message::ProbeAck { .. } => self.heard(from),
            Message::Pause { span_ms } => self.on_pause_of(from, span_ms),
            Message::PauseAck => self.on_pause_ack(from),
            Message::Resume => self.on_resume_of(from),
            Message::Ask { member } => {
                self.heard(from);
                self.on_admit(member);
            }
            Message::Ballot { epoch, base, message } => {
                self.on_ballot(from, (epoch, base), message)?;
            }
            Message::StillHere { epoch, .. } => self.on_still_here(from, epoch),
            Message::Want { epoch } => {
                self.heard(from);
                self.show_views(from, epoch);
            }
            Message::Committed { views } => {
                self.vet_views(from, &views)?;
                self.on_committed(from, views);
            }
            Message::Force { view } => self.on_force_of(from, &view),
            Message::Consent { view } => self.on_consent(from, view),
        }
        Ok(())
    }
}
