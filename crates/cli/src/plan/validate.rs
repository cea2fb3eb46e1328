//! `validate` of a task: who judges its result, and what it has to reach.

use core::time::Duration;
use std::collections::BTreeMap;

use formic::{Adapter, AgentSpec, DIMENSION_NAMES, Recipe, Threshold, Validation, Who};
use serde_json::Value;

use super::{
    Problem,
    fields::{Fields, expected},
    task::span,
    yaml::{Entry, Node},
};
use crate::nearest::suggestion;

const KEYS: [&str; 6] = ["dimensions", "threshold", "deadline", "who", "run", "agent"];
/// The capability of agents that judge.
const JUDGE: &str = "validate";

/// `validate` as it was read; its agent is not looked up yet.
#[derive(Debug)]
pub(crate) struct Read<'a> {
    entry: &'a Entry,
    validation: Validation,
    run: Option<String>,
    agent: Option<(&'a str, &'a Node)>,
}

impl<'a> Read<'a> {
    pub(crate) fn of(entry: &'a Entry, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut fields = Fields::of(&entry.value, "`validate`", &KEYS, problems)?;
        let mut validation = Validation::default();
        validation.floors = floors(&mut fields);
        if let Some(threshold) = threshold(&mut fields) {
            validation.threshold = threshold;
        }
        let fits =
            |it: Duration| (Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(&it);
        if let Some(deadline) = span(&mut fields, "deadline", fits, "a duration from 100ms to 24h")
        {
            validation.deadline = deadline;
        }
        validation.who = who(&mut fields);
        let run = super::task::run(&mut fields).map(|(text, _)| text.to_owned());
        let agent = fields.text("agent");
        if let (Some(_), Some((_, node))) = (&run, agent) {
            let message = "`run` and `agent`: expected one of them";
            fields.problems.push(Problem::new(&node.place, message));
        }
        Some(Self { entry, validation, run, agent })
    }

    /// With the agent that judges.
    pub(crate) fn with(
        self,
        agents: &[AgentSpec],
        retries: u32,
        problems: &mut Vec<Problem>,
    ) -> Validation {
        let judges = |agent: &&AgentSpec| agent.capabilities.iter().any(|it| it.as_str() == JUDGE);
        let (agent, run) = match (self.run, self.agent) {
            (Some(run), _) => (Some(shell()), Some(run)),
            (None, Some((name, node))) => {
                let found = agents.iter().find(|agent| agent.name == name);
                if found.is_none() {
                    let message = format!("undefined agent `{name}`");
                    let help = suggestion(name, agents.iter().map(|agent| agent.name.as_str()));
                    problems.push(Problem::new(&node.place, message).help(help));
                }
                (found.cloned(), None)
            }
            (None, None) => (agents.iter().find(judges).cloned(), None),
        };
        if agent.is_none() && self.agent.is_none() && self.validation.who == Who::All {
            let message = "nobody judges: expected `run`, `agent`, or an agent that can `validate`";
            let help = "`who: capable` asks peers that have such an agent of their own".to_owned();
            problems.push(Problem::new(&self.entry.key_place, message).help(help));
        }
        let (env, outputs) = (BTreeMap::new(), BTreeMap::new());
        let mut validation = self.validation;
        validation.recipe = agent.map(|agent| Recipe { agent, run, env, outputs });
        validation.retries = retries;
        validation
    }
}

fn shell() -> AgentSpec {
    AgentSpec {
        name: JUDGE.to_owned(),
        adapter: Adapter::Command,
        command: Vec::new(),
        capabilities: Vec::new(),
        slots: 1,
    }
}

fn floors(fields: &mut Fields<'_, '_>) -> BTreeMap<String, u16> {
    let mut floors = BTreeMap::new();
    for entry in fields.named("dimensions") {
        if !DIMENSION_NAMES.contains(&entry.key.as_str()) {
            let message = format!("`{}` is no dimension", entry.key);
            let help = suggestion(&entry.key, DIMENSION_NAMES)
                .unwrap_or_else(|| format!("known: {}", DIMENSION_NAMES.join(", ")));
            fields.problems.push(Problem::new(&entry.key_place, message).help(help));
            continue;
        }
        match per_mille(&entry.value, 0.0) {
            Some(floor) => drop(floors.insert(entry.key.clone(), floor)),
            None => {
                let what = format!("`{}`", entry.key);
                fields.problems.push(expected(&entry.value, &what, "a score from 0 to 1"));
            }
        }
    }
    floors
}

fn threshold(fields: &mut Fields<'_, '_>) -> Option<Threshold> {
    let node = &fields.get("threshold")?.value;
    if node.json() == Value::String("quorum".to_owned()) {
        return Some(Threshold::Quorum);
    }
    let share = per_mille(node, 0.501).map(Threshold::Share);
    if share.is_none() {
        let wanted = "a share from 0.501 to 1, or quorum";
        fields.problems.push(expected(node, "`threshold`", wanted));
    }
    share
}

fn who(fields: &mut Fields<'_, '_>) -> Who {
    match fields.text("who") {
        None | Some(("all", _)) => Who::All,
        Some(("capable", _)) => Who::Capable,
        Some((_, node)) => {
            fields.problems.push(expected(node, "`who`", "all or capable"));
            Who::All
        }
    }
}

/// A number from `least` to 1 in thousandths.
fn per_mille(node: &Node, least: f64) -> Option<u16> {
    let number = node.json().as_f64().filter(|number| (least..=1.0).contains(number))?;
    // At most 1000.
    Some((number * 1_000.0).round() as u16)
}
