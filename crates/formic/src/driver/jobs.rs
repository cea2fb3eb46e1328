use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use formic_completion::Verdict;
use formic_core::JobId;
use formic_node::{Input, Record};
use tokio::sync::{oneshot, watch};

use crate::Error;

/// Verdicts kept for those who ask later.
const KEPT: usize = 1_024;

/// A job's end, as seen by those who wait for it.
pub(crate) type Ending = watch::Receiver<Option<Arc<Verdict>>>;

/// What a submission is answered with.
pub(crate) type Submission = oneshot::Sender<Result<(JobId, Ending), Error>>;

/// Who waits for which job at this peer.
#[derive(Default)]
pub(crate) struct Jobs {
    next_request: u64,
    requests: BTreeMap<u64, Submission>,
    waiting: BTreeMap<JobId, watch::Sender<Option<Arc<Verdict>>>>,
    /// Newest last.
    over: VecDeque<(JobId, Arc<Verdict>)>,
}

impl Jobs {
    /// The node that was asked is no more: submissions it did not answer fail, but for those that are asked again.
    pub(crate) fn on_reborn(&mut self, again: &VecDeque<Input>) {
        let is_again = |number: u64| {
            again.iter().any(|it| matches!(it, Input::Submit { request, .. } if *request == number))
        };
        for (request, submission) in core::mem::take(&mut self.requests) {
            if is_again(request) {
                self.requests.insert(request, submission);
            } else {
                // Whoever dropped the call needs no answer.
                drop(submission.send(Err(Error::Reborn)));
            }
        }
    }

    /// Jobs that were over before this life began, and those that go on.
    pub(crate) fn restore(&mut self, records: &[Record]) -> Vec<JobId> {
        let mut open: Vec<JobId> = Vec::new();
        for record in records {
            let Record::Job { job, record } = record else { continue };
            open.retain(|other| other != job);
            match record {
                formic_completion::Record::Closed { decree, certificate } => {
                    let (decree, certificate) = ((**decree).clone(), (**certificate).clone());
                    self.on_verdict(*job, &Arc::new(Verdict { decree, certificate }));
                }
                _ => open.push(*job),
            }
        }
        open
    }

    /// A submission's number, returned with its answer.
    pub(crate) fn on_submit(&mut self, submission: Submission) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        self.requests.insert(request, submission);
        request
    }

    pub(crate) fn on_submitted(&mut self, request: u64, job: JobId) {
        if let Some(submission) = self.requests.remove(&request) {
            let ending = self.wait(job);
            // Whoever dropped the call does not want the job's handle.
            drop(submission.send(Ok((job, ending))));
        }
    }

    pub(crate) fn on_refused(&mut self, request: u64, reason: String) {
        if let Some(submission) = self.requests.remove(&request) {
            drop(submission.send(Err(Error::JobRefused { reason })));
        }
    }

    /// Waits for a job's verdict, which may be there already.
    pub(crate) fn wait(&mut self, job: JobId) -> Ending {
        if let Some(verdict) = self.verdict(job) {
            return watch::Sender::new(Some(verdict)).subscribe();
        }
        self.waiting.entry(job).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }

    /// The verdict, if it was seen lately.
    pub(crate) fn verdict(&self, job: JobId) -> Option<Arc<Verdict>> {
        self.over
            .iter()
            .rev()
            .find(|(over, _)| *over == job)
            .map(|(_, verdict)| Arc::clone(verdict))
    }

    pub(crate) fn on_verdict(&mut self, job: JobId, verdict: &Arc<Verdict>) {
        if let Some(waiting) = self.waiting.remove(&job) {
            waiting.send_replace(Some(Arc::clone(verdict)));
        }
        // A life that began in place has it from the one before.
        if self.verdict(job).is_some() {
            return;
        }
        if self.over.len() == KEPT {
            self.over.pop_front();
        }
        self.over.push_back((job, Arc::clone(verdict)));
    }
}
