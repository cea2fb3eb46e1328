use formic::{Adapter, AgentSpec, Capability};

use super::{Problem, Unplaced, task::Task};
use crate::nearest::suggestion;

/// The agent of a task: the one it names, else the first that has all it requires and fits its form:
/// `run` needs a `command` agent, without `run` the agent needs a program of its own.
///
/// A task with `run` that requires nothing runs by the shell where no agent fits.
pub(crate) fn choose(
    task: &Task<'_>,
    agents: &[AgentSpec],
    unplaced: &mut Vec<Unplaced>,
    problems: &mut Vec<Problem>,
) -> Option<AgentSpec> {
    if task.agent.is_some() {
        return named(task, agents, problems).cloned();
    }
    let capable: Vec<&AgentSpec> = agents.iter().filter(|agent| has_all(agent, task)).collect();
    if let Some(agent) = capable.iter().find(|agent| form(task, agent).is_ok()) {
        return Some((*agent).clone());
    }
    if task.run.is_some() && task.requires.is_empty() {
        return Some(shell());
    }
    match capable.first() {
        Some(agent) => problems.extend(form(task, agent).err()),
        None => {
            unplaced.push(Unplaced { task: task.name.to_owned(), problem: missing(task, agents) });
        }
    }
    None
}

/// The agent of plans that name none.
fn shell() -> AgentSpec {
    AgentSpec {
        name: "shell".to_owned(),
        adapter: Adapter::Command,
        command: Vec::new(),
        capabilities: Vec::new(),
        slots: 1,
    }
}

fn named<'a>(
    task: &Task<'_>,
    agents: &'a [AgentSpec],
    problems: &mut Vec<Problem>,
) -> Option<&'a AgentSpec> {
    let (name, node) = task.agent?;
    let Some(agent) = agents.iter().find(|agent| agent.name == name) else {
        let message = format!("undefined agent `{name}`");
        let help = suggestion(name, agents.iter().map(|agent| agent.name.as_str()));
        problems.push(Problem::new(&node.place, message).help(help));
        return None;
    };
    if let Some(missing) = Capability::lacking(&agent.capabilities, &task.requires).next() {
        let message =
            format!("agent `{name}` has no capability `{missing}`, which the task requires");
        problems.push(Problem::new(&node.place, message));
    }
    problems.extend(form(task, agent).err());
    Some(agent)
}

fn has_all(agent: &AgentSpec, task: &Task<'_>) -> bool {
    Capability::lacking(&agent.capabilities, &task.requires).next().is_none()
}

fn form(task: &Task<'_>, agent: &AgentSpec) -> Result<(), Problem> {
    match (agent.adapter, task.run) {
        (Adapter::Jsonl, Some((_, node))) => {
            let message = format!(
                "task `{}` has `run`, but agent `{}` speaks JSON lines and runs no shell command",
                task.name, agent.name
            );
            let help = "give the task a capability that a `command` agent has".to_owned();
            Err(Problem::new(&node.place, message).help(help))
        }
        (Adapter::Command, None) if agent.command.is_empty() => {
            let message = format!("task `{}` has nothing to run: expected `run`", task.name);
            let help = format!("or give agent `{}` a `command`", agent.name);
            Err(Problem::new(&task.name_place, message).help(help))
        }
        _ => Ok(()),
    }
}

fn missing(task: &Task<'_>, agents: &[AgentSpec]) -> Problem {
    let name = task.name;
    let known = || agents.iter().flat_map(|agent| &agent.capabilities).map(Capability::as_str);
    let offered = || agents.iter().flat_map(|agent| &agent.capabilities);
    let serves = |text: &str| {
        let wanted = text.parse::<Capability>();
        wanted.is_ok_and(|wanted| offered().any(|offered| offered.serves(&wanted)))
    };
    let stranger = task.requires_nodes.iter().find(|(text, _)| !serves(text));
    if let Some((text, node)) = stranger {
        let message = format!(
            "no capable peer: no agent has the capability `{text}`, which task `{name}` requires"
        );
        let mut known: Vec<&str> = known().collect();
        known.sort_unstable();
        known.dedup();
        return Problem::new(&node.place, message).help(suggestion(text, known));
    }
    match task.requires_nodes.first() {
        Some((_, node)) => {
            let all: Vec<&str> = task.requires.iter().map(Capability::as_str).collect();
            let message = format!(
                "no capable peer: no single agent has all that task `{name}` requires: {}",
                all.join(", ")
            );
            Problem::new(&node.place, message)
        }
        None => {
            let message = format!("no capable peer: the plan has no agent for task `{name}`");
            let help = "give the task `run`, or the plan an agent".to_owned();
            Problem::new(&task.name_place, message).help(help)
        }
    }
}
