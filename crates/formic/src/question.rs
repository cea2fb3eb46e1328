use core::time::Duration;
use std::collections::BTreeMap;

use formic_consensus::{DIMENSIONS, Policy, VOTERS_MAX, Weighting, liars_max};
use formic_core::{Key, PeerId};
use formic_node::{CASE_NAME_MAX, Case, DIMENSION_NAMES, Status, share};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Recipe;

/// The capability of whoever may judge, and the kind of a judge's task.
pub(crate) const JUDGE: &str = "validate";
/// How long ballots are waited for where nothing else is said.
const DEADLINE: Duration = Duration::from_secs(120);

/// What voters are asked by [`TaskContext::decide`](crate::TaskContext::decide).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Question {
    /// The task whose result is judged.
    pub task: Key,
    /// A name for people, at most 256 bytes.
    pub name: String,
    /// Which try, from 0.
    pub attempt: u32,
    /// Who has a vote; sorted here.
    pub voters: Vec<PeerId>,
    /// How it is judged.
    pub policy: Policy,
    /// What the judges are shown: the payload of their task.
    pub shown: Value,
    /// The agent that judges, on peers that have none of their own with the capability `validate`.
    pub recipe: Option<Recipe>,
}

/// What travels to the judges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Exhibit {
    pub(crate) shown: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recipe: Option<Recipe>,
}

impl Question {
    /// A first question about a task's result.
    pub fn new(task: Key, name: impl Into<String>, voters: Vec<PeerId>, policy: Policy) -> Self {
        let (name, shown) = (name.into(), Value::Null);
        Self { task, name, attempt: 0, voters, policy, shown, recipe: None }
    }

    pub(crate) fn into_case(self) -> Case {
        let exhibit = Exhibit { shown: self.shown, recipe: self.recipe };
        let content = serde_json::to_vec(&exhibit).unwrap_or_default();
        let Self { task, name, attempt, mut voters, policy, .. } = self;
        voters.sort_unstable();
        voters.dedup();
        Case { voters, task, name, attempt, author: None, policy, content }
    }
}

/// When the result of a task of a plan is good enough, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Validation {
    /// How many must approve.
    pub threshold: Threshold,
    /// What the median of each named dimension has to reach, in thousandths: quality, security, performance, tests, docs.
    pub floors: BTreeMap<String, u16>,
    /// How long ballots are waited for: 100 ms to 24 h, default 2 min.
    pub deadline: Duration,
    /// Who has a vote.
    pub who: Who,
    /// How it is judged, on peers without an own agent that can `validate`. `run` finds the result in `$VALUE`, the task's
    /// name in `$TASK` and both as JSON in the file `$FORMIC_PAYLOAD`.
    pub recipe: Option<Recipe>,
    /// How often a task whose result was rejected is tried again.
    pub retries: u32,
}

/// How many of those who may judge have to approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Threshold {
    /// This share, in thousandths: 501..=1000.
    Share(u16),
    /// All but as many as may lie or be absent.
    Quorum,
}

/// Who has a vote in a plan's job. Nobody judges his own work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// All members that are alive when the job is submitted.
    #[default]
    All,
    /// Those of them with the capability `validate`.
    Capable,
}

/// Who has a vote in a job: chosen by whoever submits it, fixed for the job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voters {
    /// All members: sorted, unique.
    pub all: Vec<PeerId>,
    /// Those that can `validate`: sorted, unique.
    pub capable: Vec<PeerId>,
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            threshold: Threshold::Share(900),
            floors: BTreeMap::new(),
            deadline: DEADLINE,
            who: Who::All,
            recipe: None,
            retries: 0,
        }
    }
}

impl Validation {
    /// As voters are asked, `voters` of them.
    pub(crate) fn policy(&self, voters: usize) -> Policy {
        let mut floors = [0; DIMENSIONS];
        for (slot, name) in floors.iter_mut().zip(DIMENSION_NAMES) {
            *slot = self.floors.get(name).copied().unwrap_or(0);
        }
        let deadline_ms = u32::try_from(self.deadline.as_millis()).unwrap_or(u32::MAX);
        let threshold = self.threshold.per_mille(voters);
        Policy { threshold, weighting: Weighting::Equal, deadline_ms, floors }
    }

    /// What people should know about this threshold with so many voters, one of which does not judge its own work: said
    /// where every single one must approve.
    pub fn warning(&self, voters: usize) -> Option<String> {
        match self.threshold {
            Threshold::Share(given) => unanimity(given, voters),
            Threshold::Quorum if (2..4).contains(&voters) => Some(format!(
                "{voters} voters tolerate no liar: every judge of a task must approve; 4 tolerate one"
            )),
            Threshold::Quorum => None,
        }
    }
}

/// Said where a threshold in thousandths means that every one of `voters` but a task's author must approve.
pub fn unanimity(given: u16, voters: usize) -> Option<String> {
    let judges = voters.saturating_sub(1);
    let needed = (usize::from(given) * judges).div_ceil(1_000);
    if judges == 0 || needed < judges {
        return None;
    }
    if judges == 1 {
        return Some("2 voters: a single judge decides each task; 4 tolerate a liar".to_owned());
    }
    let advice = match judges - liars_max(voters) {
        fewer if fewer < judges => format!("; set threshold: quorum ({fewer} of {judges})"),
        _ => "; fewer than 4 voters tolerate no liar".to_owned(),
    };
    Some(format!(
        "{voters} voters, of which {judges} judge each task, at {}: all {judges} must approve{advice}",
        share(given)
    ))
}

impl Threshold {
    /// In thousandths of those who judge: `voters` without the author.
    pub(crate) fn per_mille(self, voters: usize) -> u16 {
        match self {
            Self::Share(share) => share,
            Self::Quorum => {
                let judges = voters.saturating_sub(1).max(1);
                let share = (judges - liars_max(voters).min(judges)) * 1_000 / judges;
                u16::try_from(share).unwrap_or(1_000).max(formic_node::THRESHOLD_MIN)
            }
        }
    }
}

impl Voters {
    /// The members that are alive, as a peer sees them; of more than 256 those with the lowest ids.
    pub fn of(status: &Status) -> Self {
        let alive = || status.members.iter().filter(|member| member.state == "alive");
        let can = |capability: &formic_core::Capability| capability.as_str() == JUDGE;
        let capable = alive().filter(|member| member.capabilities.iter().any(can));
        Self {
            all: chosen(alive().map(|member| member.life.peer)),
            capable: chosen(capable.map(|member| member.life.peer)),
        }
    }

    /// Those that a validation asks.
    pub fn who(&self, who: Who) -> &[PeerId] {
        match who {
            Who::All => &self.all,
            Who::Capable => &self.capable,
        }
    }
}

fn chosen(peers: impl Iterator<Item = PeerId>) -> Vec<PeerId> {
    let mut peers: Vec<PeerId> = peers.collect();
    peers.sort_unstable();
    peers.dedup();
    peers.truncate(VOTERS_MAX);
    peers
}

/// A name as a case may have it.
pub(crate) fn case_name(name: &str) -> String {
    let mut end = name.len().min(CASE_NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}
