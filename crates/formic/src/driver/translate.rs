//! Events of the node as lines of the event log.

use core::time::Duration;

use formic_consensus::Outcome;
use formic_core::{JobId, Key, Life};
use formic_node::{Event, Message};

use crate::{Fence, LogBallot, LogEvent, plan::reason_of};

/// Messages sent so far, for the event log. Beats and membership are not counted: they do not depend on the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    work: u64,
    control: u64,
    probes: u64,
}

impl Sent {
    /// Counts a message that leaves.
    pub(crate) const fn count(&mut self, message: &Message) {
        use formic_completion::Message as Completion;
        match message {
            Message::Completion { message: Completion::Work { .. }, .. } => self.work += 1,
            Message::Completion {
                message: Completion::Probe { .. } | Completion::Sealed { .. },
                ..
            } => self.probes += 1,
            Message::Completion { .. } | Message::Attestation { .. } => self.control += 1,
            Message::Mesh(_)
            | Message::Healing(_)
            | Message::Work(_)
            | Message::Pheromones(_)
            | Message::Claims(_)
            | Message::WhoKeeps { .. }
            | Message::Votes(_)
            | Message::Keepers { .. }
            | Message::Request(_)
            | Message::Reply(_) => {}
        }
    }

    pub(crate) const fn line(self) -> LogEvent {
        LogEvent::PeerCounters { work: self.work, control: self.control, probes: self.probes }
    }
}

/// The line of an event.
pub(crate) fn line(event: &Event) -> Option<LogEvent> {
    peer_line(event).or_else(|| job_line(event)).or_else(|| task_line(event))
}

fn peer_line(event: &Event) -> Option<LogEvent> {
    Some(match event {
        Event::Joined { mesh, members } => {
            LogEvent::PeerJoined { mesh: mesh.to_string(), members: count(*members) }
        }
        Event::JoinRefused { reason } => LogEvent::PeerRefused { reason: reason.clone() },
        Event::PeerUp { life, name, .. } => {
            LogEvent::PeerUp { who: life.to_string(), name: name.clone() }
        }
        Event::PeerDown { life, reason } => {
            LogEvent::PeerDown { who: life.to_string(), reason: (*reason).to_owned() }
        }
        Event::PeerQuarantined { peer, kind } => {
            LogEvent::PeerQuarantined { who: peer.to_string(), kind: kind.clone() }
        }
        Event::PeerReleased { peer, kind } => {
            LogEvent::PeerReleased { who: peer.to_string(), kind: kind.clone() }
        }
        Event::PeerSuspect { life } => LogEvent::PeerSuspect { who: life.to_string() },
        Event::ViewCommitted { view } => LogEvent::ViewCommitted {
            epoch: view.epoch.0,
            hash: view.hash().short(),
            members: view.lives().map(|life| life.to_string()).collect(),
            forced: view.forced.as_ref().map(|forced| forced.reason.clone()),
        },
        Event::QuorumLost => LogEvent::QuorumLost {},
        Event::QuorumHeld => LogEvent::QuorumHeld {},
        Event::Loss { lives } => {
            LogEvent::Loss { who: lives.iter().map(ToString::to_string).collect() }
        }
        Event::Fork { ours, theirs } => {
            LogEvent::ViewFork { ours: ours.hash().short(), theirs: theirs.hash().short() }
        }
        Event::Health { status } => LogEvent::Health { status: status.word().to_owned() },
        Event::Misbehaved { peer, what } => {
            LogEvent::Misbehaved { who: peer.short(), what: what.clone() }
        }
        _ => return None,
    })
}

fn job_line(event: &Event) -> Option<LogEvent> {
    Some(match event {
        Event::JobAccepted { job, home } => {
            let home = home.iter().map(Life::to_string).collect();
            LogEvent::JobAccepted { job: job.to_string(), home }
        }
        Event::HomeChanged { job, generation, home } => {
            let (job, home) = (job.to_string(), home.iter().map(Life::to_string).collect());
            LogEvent::HomeChanged { job, generation: *generation, home }
        }
        Event::HomeTookOver { job, rank } => {
            LogEvent::HomeTookOver { job: job.to_string(), rank: count(*rank) }
        }
        Event::JobComplete { job, outcome } => {
            LogEvent::JobComplete { job: job.to_string(), outcome: outcome.word().to_owned() }
        }
        Event::JobVerdict { job, verdict } => LogEvent::JobVerdict {
            job: job.to_string(),
            outcome: verdict.decree.outcome.word().to_owned(),
            excluded: verdict.certificate.statement.excluded.iter().map(Life::to_string).collect(),
            tasks: verdict.decree.tally.tasks,
            executions: verdict.decree.tally.executions,
        },
        Event::JobAnomaly { job, what } => {
            LogEvent::JobAnomaly { job: job.to_string(), what: what.clone() }
        }
        _ => return None,
    })
}

fn task_line(event: &Event) -> Option<LogEvent> {
    let text = |job: &JobId, key: &Key| (job.to_string(), key.to_string());
    Some(match event {
        Event::TaskSpawned { job, owner, key, kind, name } => {
            let (owner, kind, name) = (owner.to_string(), kind.clone(), name.clone());
            let (job, key) = text(job, key);
            LogEvent::TaskSpawned { job, owner, key, kind, name }
        }
        Event::TaskPlaced { job, key, attempt, life, promised } => {
            let (job, key) = text(job, key);
            let (attempt, who) = (*attempt, life.to_string());
            LogEvent::TaskPlaced { job, key, attempt, who, promised_ms: millis(*promised) }
        }
        Event::TaskUnplaceable { job, key, missing } => {
            let (job, key) = text(job, key);
            let missing = missing.iter().map(ToString::to_string).collect();
            LogEvent::TaskUnplaceable { job, key, missing }
        }
        Event::TaskStarted { job, key, attempt, fence } => {
            let fence = fence.map(|fence| Fence::new(*key, fence).to_string());
            let (job, key) = text(job, key);
            LogEvent::TaskStarted { job, key, attempt: *attempt, fence }
        }
        Event::TaskFinished { job, key, outcome } => {
            let (job, key) = text(job, key);
            let detail = reason_of(outcome).unwrap_or_default();
            LogEvent::TaskFinished { job, key, outcome: outcome.word().to_owned(), detail }
        }
        Event::TaskDone { job, owner, key, by, outcome } => {
            let (job, key) = text(job, key);
            let (owner, by, outcome) = (owner.to_string(), by.to_string(), (*outcome).to_owned());
            LogEvent::TaskDone { job, owner, key, by, outcome }
        }
        Event::TaskRespawned { job, key, attempt, from } => {
            let (job, key) = text(job, key);
            LogEvent::TaskRespawned { job, key, attempt: *attempt, from: from.to_string() }
        }
        Event::TaskDropped { job, key } => {
            let (job, key) = text(job, key);
            LogEvent::TaskDropped { job, key }
        }
        Event::TaskDivergent { job, key } => {
            let (job, key) = text(job, key);
            LogEvent::TaskDivergent { job, key }
        }
        _ => return exclusive_line(event).or_else(|| vote_line(event)),
    })
}

fn vote_line(event: &Event) -> Option<LogEvent> {
    let text = |job: &JobId, key: &Key| (job.to_string(), key.to_string());
    Some(match event {
        Event::DecisionAsked { job, task, name, electorate, voters, author } => {
            let (job, key) = text(job, task);
            let (electorate, author) = (electorate.to_string(), author.map(|it| it.to_string()));
            let (name, voters) = (name.clone(), count(*voters));
            LogEvent::DecisionAsked { job, key, name, electorate, voters, author }
        }
        Event::BallotCast { job, task, ballot } => {
            let (job, key) = text(job, task);
            LogEvent::BallotCast { job, key, ballot: LogBallot::of(ballot) }
        }
        Event::DecisionMade { job, task, decision, judgement } => {
            let (job, key) = text(job, task);
            let ballots = judgement.ballots.iter();
            LogEvent::DecisionMade {
                job,
                key,
                name: decision.name.clone(),
                outcome: word(judgement.outcome()).to_owned(),
                words: judgement.in_words(),
                electorate: judgement.proof.electorate.digest().to_string(),
                ballots: ballots.map(|(who, it)| (who.to_string(), LogBallot::of(it))).collect(),
                liars: judgement.liars.iter().map(ToString::to_string).collect(),
                proof: hex(&formic_core::wire::encode(&**decision).unwrap_or_default()),
            }
        }
        Event::DecisionStalled { job, task, missing } => {
            let (job, key) = text(job, task);
            let missing = missing.iter().map(ToString::to_string).collect();
            LogEvent::DecisionStalled { job, key, missing }
        }
        Event::VoterLied { job, peer } => {
            LogEvent::VoterLied { job: job.to_string(), who: peer.to_string() }
        }
        _ => return None,
    })
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Approved => "approved",
        Outcome::Rejected(_) => "rejected",
        Outcome::Expired => "expired",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn exclusive_line(event: &Event) -> Option<LogEvent> {
    let text = |job: &JobId, key: &Key| (job.to_string(), key.to_string());
    Some(match event {
        Event::TaskHeld { job, key, remaining } => {
            let (job, key) = text(job, key);
            LogEvent::TaskHeld { job, key, remaining_ms: millis(*remaining) }
        }
        Event::LeaseLost { job, key } => {
            let (job, key) = text(job, key);
            LogEvent::LeaseLost { job, key }
        }
        Event::TaskAdopted { job, key } => {
            let (job, key) = text(job, key);
            LogEvent::TaskAdopted { job, key }
        }
        Event::TaskUndecided { job, key, missing } => {
            let (job, key) = text(job, key);
            let missing = missing.iter().map(ToString::to_string).collect();
            LogEvent::TaskUndecided { job, key, missing }
        }
        _ => return None,
    })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
