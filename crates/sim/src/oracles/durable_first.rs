//! What a life says that rests on a record leaves after that record in the order of its effects.

use std::collections::BTreeSet;

use formic_completion::{Message, Record};
use formic_core::JobId;

/// What a life has asked to make durable so far, in the order of its effects.
#[derive(Clone, Debug, Default)]
pub struct Ordered {
    homes: BTreeSet<JobId>,
    registers: BTreeSet<JobId>,
    closed: BTreeSet<JobId>,
}

impl Ordered {
    /// A record was persisted, or restored.
    pub fn stored(&mut self, job: JobId, record: &Record) {
        match record {
            Record::Home { .. } => self.homes.insert(job),
            Record::Register { .. } => self.registers.insert(job),
            Record::Closed { .. } => self.closed.insert(job),
            Record::Fact(_) => false,
        };
    }

    /// A message leaves: that a job is kept here, what a replica promised or accepted, that a
    /// verdict is known.
    ///
    /// # Errors
    /// What is not durable yet.
    pub fn at_send(&self, job: JobId, message: &Message) -> Result<(), String> {
        use formic_register::Message::{Accepted, Promise};
        let closed = self.closed.contains(&job);
        let (kept, what) = match message {
            Message::HomeAck { .. } => (self.homes.contains(&job) || closed, "the job it keeps"),
            Message::Register { message: Promise { .. } | Accepted { .. }, .. } => {
                (self.registers.contains(&job) || closed, "what it promised or accepted")
            }
            // Only who keeps the job for its home group must know its end after a crash.
            Message::AnnounceAck if self.homes.contains(&job) => {
                (closed, "the verdict it confirms")
            }
            _ => return Ok(()),
        };
        if kept { Ok(()) } else { Err(format!("job {job}: {what} is not durable yet")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formic_core::{Incarnation, Life, PeerId};

    #[test]
    fn a_confirmation_before_its_record_is_noticed() {
        let job = JobId::derive(Life::new(PeerId::from_bytes([1; 32]), Incarnation(1)), 1);
        let ordered = Ordered::default();
        assert!(ordered.at_send(job, &Message::HomeAck { generation: 0 }).is_err());
        assert_eq!(ordered.at_send(job, &Message::AnnounceAck), Ok(()), "it keeps nothing");
        assert_eq!(ordered.at_send(job, &Message::HomeBack { generation: 0 }), Ok(()));
    }
}
