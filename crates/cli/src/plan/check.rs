use std::collections::BTreeMap;

use formic::{Adapter, AgentSpec, Capability, Plan};

use super::{
    CheckedPlan, Problem, Source, Unplaced,
    fields::{Fields, check_name, expected, not_yet},
    graph,
    problem::render_all,
    task::{self, Task},
    yaml::{self, Entry, Kind, Node},
};
use crate::{exit::Stop, nearest::suggestion};

/// Tasks of one plan (work.md section 9).
const TASKS_MAX: usize = 100_000;

/// Tasks of a cycle that are named.
const CHAIN_MAX: usize = 12;

pub(crate) fn check(source: Source, given: &BTreeMap<String, String>) -> Result<CheckedPlan, Stop> {
    let mut problems = Vec::new();
    let checked = match yaml::parse(&source.text, &mut problems) {
        Ok(root) => whole(&root, &source, given, &mut problems),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    match checked {
        Some(parts) if problems.is_empty() => {
            let Parts { plan, inputs, agents, unplaced } = parts;
            let digest = plan.digest();
            Ok(CheckedPlan { plan, inputs, agents, unplaced, digest, source })
        }
        _ => Err(Stop::usage(render_all(&problems, &source))),
    }
}

struct Parts {
    plan: Plan,
    inputs: BTreeMap<String, String>,
    agents: Vec<AgentSpec>,
    unplaced: Vec<Unplaced>,
}

fn whole(
    root: &Node,
    source: &Source,
    given: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Option<Parts> {
    let known = ["version", "inputs", "agents", "tasks"];
    let mut fields = Fields::of(root, "the plan", &known, problems)?;
    version(&mut fields);
    let inputs = inputs(&mut fields, given);
    let agents = agents(&mut fields);
    let entries = task_entries(&mut fields);
    let names: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    let scope = task::Scope { source, names: &names, inputs: &inputs };
    let tasks: Vec<Task<'_>> =
        entries.iter().filter_map(|entry| Task::read(entry, &scope, problems)).collect();
    references(&tasks, problems);
    cycles(&tasks, problems);
    let mut unplaced = Vec::new();
    let planned =
        tasks.into_iter().map(|task| task.planned(&agents, &mut unplaced, problems)).collect();
    let inputs = inputs.into_iter().map(|(name, value)| (name, value.unwrap_or_default()));
    Some(Parts { plan: Plan::of(planned), inputs: inputs.collect(), agents, unplaced })
}

fn version(fields: &mut Fields<'_, '_>) {
    let Some(entry) = fields.need("version") else { return };
    if entry.value.json().as_i64() != Some(1) {
        fields.problems.push(expected(
            &entry.value,
            "`version`",
            "1, the plan format of this version",
        ));
    }
}

/// Inputs by name; `None` where a value is missing, which is reported here.
fn inputs(
    fields: &mut Fields<'_, '_>,
    given: &BTreeMap<String, String>,
) -> BTreeMap<String, Option<String>> {
    let mut inputs = BTreeMap::new();
    let entries = fields.named("inputs");
    for entry in entries {
        if check_name(entry, "an input", fields.problems) {
            let value = input(entry, given.get(&entry.key), fields.problems);
            inputs.insert(entry.key.clone(), value);
        }
    }
    for name in given.keys().filter(|name| !inputs.contains_key(*name)) {
        let known = inputs.keys().map(String::as_str);
        let help = suggestion(name, known).unwrap_or_else(|| "the plan has no `inputs`".to_owned());
        let place = fields.get("inputs").map_or(0..0, |entry| entry.key_place.clone());
        let message = format!("--input {name}=...: the plan has no input `{name}`");
        fields.problems.push(Problem::new(&place, message).help(help));
    }
    inputs
}

fn input(entry: &Entry, given: Option<&String>, problems: &mut Vec<Problem>) -> Option<String> {
    let mut fields = Fields::of(&entry.value, "an input", &["default", "help"], problems)?;
    fields.text("help");
    let default = fields.get("default").map(|entry| &entry.value);
    let default = default.and_then(|node| match node.kind {
        Kind::Scalar { ref text, .. } => Some(text.clone()),
        _ => {
            fields.problems.push(expected(node, "`default`", "a text or a number"));
            None
        }
    });
    let value = given.cloned().or(default);
    match &value {
        None => {
            let message = format!("input `{}` has no default and was not given", entry.key);
            let help = format!("give it with --input {}=VALUE", entry.key);
            problems.push(Problem::new(&entry.key_place, message).help(help));
        }
        // It would be taken for a reference by the peer that runs the plan.
        Some(value) if value.contains("${{") => {
            let message = format!("the value of input `{}` contains `${{{{`", entry.key);
            problems.push(Problem::new(&entry.key_place, message));
        }
        Some(_) => {}
    }
    value
}

fn agents(fields: &mut Fields<'_, '_>) -> Vec<AgentSpec> {
    let entries = fields.named("agents");
    let mut agents = Vec::new();
    for entry in entries {
        if check_name(entry, "an agent", fields.problems) {
            agents.extend(agent(entry, fields.problems));
        }
    }
    agents
}

fn agent(entry: &Entry, problems: &mut Vec<Problem>) -> Option<AgentSpec> {
    let known = ["adapter", "command", "capabilities", "slots"];
    let mut fields = Fields::of(&entry.value, "an agent", &known, problems)?;
    let adapter = adapter(&mut fields);
    let command: Vec<String> =
        fields.texts("command").into_iter().map(|(word, _)| word.to_owned()).collect();
    let capabilities = capabilities(&mut fields, "capabilities");
    let slots = fields.count("slots", 1, 1_024).unwrap_or(1);
    if adapter == Some(Adapter::Jsonl) && fields.get("command").is_none() {
        let message =
            format!("agent `{}` has no `command`: which program speaks JSON lines?", entry.key);
        fields.problems.push(Problem::new(&entry.key_place, message));
    }
    if command.first().is_some_and(|word| word.trim().is_empty()) {
        let message = format!("agent `{}` has an empty program in `command`", entry.key);
        fields.problems.push(Problem::new(&entry.key_place, message));
    }
    Some(AgentSpec { name: entry.key.clone(), adapter: adapter?, command, capabilities, slots })
}

fn adapter(fields: &mut Fields<'_, '_>) -> Option<Adapter> {
    fields.need("adapter")?;
    let (text, node) = fields.text("adapter")?;
    let problem = match text {
        "command" => return Some(Adapter::Command),
        "jsonl" => return Some(Adapter::Jsonl),
        "acp" | "codex-app-server" => {
            Problem::new(&node.place, not_yet(&format!("adapter `{text}`"), "sessions"))
        }
        "rust" => Problem::new(&node.place, "adapter `rust` is for programs that use the library")
            .help("known here: command, jsonl".to_owned()),
        _ => Problem::new(&node.place, format!("unknown adapter `{text}`"))
            .help(suggestion(text, ["command", "jsonl"])),
    };
    fields.problems.push(problem);
    None
}

/// Sorted, unique.
pub(crate) fn capabilities(fields: &mut Fields<'_, '_>, key: &str) -> Vec<Capability> {
    let mut capabilities = Vec::new();
    for (text, node) in fields.texts(key) {
        match text.parse::<Capability>() {
            Ok(capability) => capabilities.push(capability),
            Err(error) => fields.problems.push(Problem::new(&node.place, error.to_string())),
        }
    }
    capabilities.sort();
    capabilities.dedup();
    capabilities
}

fn task_entries<'a>(fields: &mut Fields<'a, '_>) -> &'a [Entry] {
    let Some(entry) = fields.need("tasks") else { return &[] };
    let entries = fields.named("tasks");
    let is_map = matches!(entry.value.kind, Kind::Map(_));
    if entries.is_empty() && is_map {
        let message = "`tasks` is empty: a plan has at least one task";
        fields.problems.push(Problem::new(&entry.value.place, message));
    }
    if entries.len() > TASKS_MAX {
        let message = format!("{} tasks: a plan has at most {TASKS_MAX}", entries.len());
        fields.problems.push(Problem::new(&entry.key_place, message));
        return &[];
    }
    entries
}

/// References to outputs that their tasks do not declare.
fn references(tasks: &[Task<'_>], problems: &mut Vec<Problem>) {
    for (place, name, file) in tasks.iter().flat_map(|task| &task.output_references) {
        let Some(task) = tasks.iter().find(|task| task.name == *name) else { continue };
        if !task.outputs.contains_key(file) {
            let known = task.outputs.keys().map(String::as_str);
            let message = format!("task `{name}` has no output `{file}`");
            let help = suggestion(file, known)
                .unwrap_or_else(|| format!("declare it: outputs: {{{file}: PATH}}"));
            problems.push(Problem::new(place, message).help(help));
        }
    }
}

/// `a -> b -> ... -> a`, the middle of a long one left out.
fn chain(names: &[&str]) -> String {
    match names.len().checked_sub(CHAIN_MAX) {
        None | Some(0) => names.join(" -> "),
        Some(more) => {
            let (begin, end) = (&names[..CHAIN_MAX - 2], &names[names.len() - 2..]);
            format!("{} -> ({more} more) -> {}", begin.join(" -> "), end.join(" -> "))
        }
    }
}

fn cycles(tasks: &[Task<'_>], problems: &mut Vec<Problem>) {
    let index: BTreeMap<&str, usize> =
        tasks.iter().enumerate().map(|(index, task)| (task.name, index)).collect();
    let edges: Vec<Vec<usize>> = tasks
        .iter()
        .map(|task| task.needs.iter().filter_map(|(need, _)| index.get(need).copied()).collect())
        .collect();
    let Some(path) = graph::shortest_cycle(&edges) else { return };
    let names: Vec<&str> = path.iter().map(|task| tasks[*task].name).collect();
    let first = &tasks[path[0]];
    let next = path.get(1).map(|task| tasks[*task].name);
    let place =
        first.needs.iter().find(|(need, _)| Some(*need) == next).map(|(_, node)| &node.place);
    let message = format!("a cycle: {}", chain(&names));
    let help = "each task waits for the next one: none can ever start".to_owned();
    problems.push(Problem::new(place.unwrap_or(&(0..0)), message).help(help));
}
