//! What leaves: the self-queue, gathered signals, and their flush (T16).

use formic_core::{Key, Life, Outcome};

use crate::{
    Completion, Effect, Event, Fact, Message, Signal, task::descriptor_bytes, timers::Timer,
};

/// A signal is split so that no message grows beyond this estimate: several fit into one datagram
/// burst, and a link's queue is never blocked by one of them.
const SIGNAL_BYTES: usize = 48 * 1_024;

fn fact_bytes(fact: &Fact) -> usize {
    let outcome = match &fact.outcome {
        Outcome::Ok(output) => {
            let file = |file: &formic_core::OutputFile| file.name.len() + file.path.len() + 64;
            output.value.len() + output.files.iter().map(file).sum::<usize>()
        }
        Outcome::Failed(failure) => failure.code.len() + failure.message.len(),
        Outcome::Expired { reason } | Outcome::Cancelled { reason } => reason.len(),
    };
    let tails: usize = fact.tails.iter().map(|tail| 64 + descriptor_bytes(&tail.descriptor)).sum();
    128 + outcome + tails
}

impl Signal {
    fn is_empty(&self) -> bool {
        self.accepted.is_empty()
            && self.done.is_empty()
            && self.taken.is_empty()
            && self.cancelled.is_empty()
            && self.unknown.is_empty()
    }

    /// Cuts it into signals of at most [`SIGNAL_BYTES`]; a larger fact travels alone.
    fn split(self) -> Vec<Self> {
        let mut parts = vec![Self::default()];
        let mut room = SIGNAL_BYTES;
        let mut next = |size: usize, parts: &mut Vec<Self>| {
            if size > room && parts.last().is_some_and(|part| !part.is_empty()) {
                parts.push(Self::default());
                room = SIGNAL_BYTES;
            }
            room = room.saturating_sub(size);
        };
        let mut each = |size: usize, put: &mut dyn FnMut(&mut Self)| {
            next(size, &mut parts);
            if let Some(part) = parts.last_mut() {
                put(part);
            }
        };
        self.done.into_iter().for_each(|fact| {
            each(fact_bytes(&fact), &mut |part| part.done.push(fact.clone()));
        });
        self.accepted.iter().for_each(|key| each(17, &mut |part| part.accepted.push(*key)));
        self.taken.iter().for_each(|key| each(17, &mut |part| part.taken.push(*key)));
        self.unknown.iter().for_each(|key| each(17, &mut |part| part.unknown.push(*key)));
        self.cancelled.iter().for_each(|pair| each(34, &mut |part| part.cancelled.push(*pair)));
        parts
    }
}

impl Completion {
    pub(crate) fn event(&mut self, event: Event) {
        self.out.push(Effect::Event(event));
    }

    /// Sends, or queues for after the handler if it is for this life (atomicity rule, 8.3 #9).
    pub(crate) fn send(&mut self, to: Life, message: Message) {
        if to == self.me {
            self.inbox.push_back(message);
        } else {
            self.out.push(Effect::Send { to, message });
        }
    }

    /// Work takes what is owed to the same life along.
    pub(crate) fn send_work(&mut self, to: Life, work: Message) {
        self.send(to, work);
        self.flush_to(to);
    }

    fn post(&mut self, to: Life, put: impl FnOnce(&mut Signal)) {
        if to == self.me {
            let mut signal = Signal::default();
            put(&mut signal);
            self.inbox.push_back(Message::Signal(signal));
        } else {
            put(self.pend.entry(to).or_default());
            self.timers.arm(Timer::Flush, self.now + self.config.flush);
        }
    }

    pub(crate) fn post_accepted(&mut self, to: Life, key: Key) {
        self.post(to, |signal| signal.accepted.push(key));
    }

    pub(crate) fn post_done(&mut self, to: Life, fact: &Fact) {
        self.post(to, |signal| {
            // Two owners at one peer wait for it: once is enough.
            if signal.done.last().is_none_or(|last| last.key != fact.key) {
                signal.done.push(fact.clone());
            }
        });
    }

    pub(crate) fn post_taken(&mut self, to: Life, key: Key) {
        self.post(to, |signal| signal.taken.push(key));
    }

    pub(crate) fn post_cancelled(&mut self, to: Life, key: Key, owner: Key) {
        self.post(to, |signal| signal.cancelled.push((key, owner)));
    }

    pub(crate) fn post_unknown(&mut self, to: Life, key: Key) {
        self.post(to, |signal| signal.unknown.push(key));
    }

    pub(crate) fn flush_to(&mut self, to: Life) {
        if let Some(signal) = self.pend.remove(&to) {
            for part in signal.split() {
                self.out.push(Effect::Send { to, message: Message::Signal(part) });
            }
        }
    }

    /// T16.
    pub(crate) fn flush(&mut self) {
        while let Some(to) = self.pend.keys().next().copied() {
            self.flush_to(to);
        }
        self.timers.clear(Timer::Flush);
    }
}
