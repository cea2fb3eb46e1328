use core::{ops::Range, time::Duration};
use std::collections::BTreeMap;

use formic::{AgentSpec, Capability, LEASE_MAX, LEASE_MIN, PlannedTask};
use serde_json::Value;

use super::{
    Problem, Source, Unplaced, agent_choice,
    check::capabilities,
    fields::{Fields, check_name, expected, name_is_good},
    template::{self, Reference},
    validate,
    yaml::{Entry, Kind, Node},
};
use crate::{nearest::suggestion, span::parse_span};

/// Needs of one task (work.md section 9).
const NEEDS_MAX: usize = 1_000;
/// The longest name of a kind of work.
const KIND_MAX: usize = 64;
/// The lease of an exclusive task that names none (healing.md 7.2).
const LEASE: Duration = Duration::from_secs(1);
/// The longest wall time (sessions.md section 10).
const WALL_MAX: Duration = Duration::from_secs(24 * 3_600);

const KEYS: [&str; 12] = [
    "kind",
    "needs",
    "requires",
    "payload",
    "env",
    "run",
    "outputs",
    "retry",
    "exclusive",
    "budget",
    "agent",
    "validate",
];

/// What names a task may refer to.
pub(crate) struct Scope<'a> {
    pub(crate) source: &'a Source,
    pub(crate) names: &'a [&'a str],
    pub(crate) inputs: &'a BTreeMap<String, Option<String>>,
}

/// A task as it was read.
pub(crate) struct Task<'a> {
    pub(crate) name: &'a str,
    pub(crate) name_place: Range<usize>,
    pub(crate) needs: Vec<(&'a str, &'a Node)>,
    kind: Option<String>,
    pub(crate) requires: Vec<Capability>,
    pub(crate) requires_nodes: Vec<(&'a str, &'a Node)>,
    pub(crate) agent: Option<(&'a str, &'a Node)>,
    pub(crate) run: Option<(&'a str, &'a Node)>,
    pub(crate) outputs: BTreeMap<String, String>,
    /// Place, task and output of each reference to an output.
    pub(crate) output_references: Vec<(Range<usize>, String, String)>,
    payload: Value,
    env: BTreeMap<String, String>,
    retries: Retries,
    validate: Option<validate::Read<'a>>,
    wall: Option<Duration>,
    exclusive: Option<Duration>,
}

/// How often a task is tried again.
#[derive(Clone, Copy, Debug, Default)]
struct Retries {
    failed: u32,
    rejected: u32,
}

impl<'a> Task<'a> {
    pub(crate) fn read(
        entry: &'a Entry,
        scope: &Scope<'_>,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        check_name(entry, "a task", problems);
        let mut fields = Fields::of(&entry.value, "a task", &KEYS, problems)?;
        let needs = needs(&mut fields, &entry.key, scope);
        let kind = kind(&mut fields);
        let requires = capabilities(&mut fields, "requires");
        let requires_nodes = match fields.get("requires").map(|entry| &entry.value.kind) {
            Some(Kind::List(_)) => fields.texts("requires"),
            _ => Vec::new(),
        };
        let (agent, run) = (fields.text("agent"), run(&mut fields));
        let outputs = outputs(&mut fields);
        let validate = fields.get("validate");
        let validate = validate.and_then(|entry| validate::Read::of(entry, fields.problems));
        let (retries, wall) = (retries(&mut fields), budget(&mut fields));
        let exclusive = exclusive(&mut fields);
        let env = fields.named("env");
        let payload = fields.get("payload").map(|entry| &entry.value);
        let mut filler =
            Filler { task: &entry.key, needs: &needs, scope, outputs: Vec::new(), problems };
        let payload = payload.map_or(Value::Null, |node| filler.json(node));
        let env = filler.env(env);
        let output_references = filler.outputs;
        let (name, name_place) = (entry.key.as_str(), entry.key_place.clone());
        Some(Self {
            name,
            name_place,
            needs,
            kind,
            requires,
            requires_nodes,
            agent,
            run,
            outputs,
            output_references,
            payload,
            env,
            retries,
            validate,
            wall,
            exclusive,
        })
    }

    /// As the root executes it, with the agent that was chosen for it.
    pub(crate) fn planned(
        self,
        agents: &[AgentSpec],
        unplaced: &mut Vec<Unplaced>,
        problems: &mut Vec<Problem>,
    ) -> PlannedTask {
        let agent = agent_choice::choose(&self, agents, unplaced, problems);
        let rejected = self.retries.rejected;
        let validate = self.validate.map(|read| read.with(agents, rejected, problems));
        PlannedTask {
            kind: self.kind,
            name: self.name.to_owned(),
            needs: self.needs.iter().map(|(need, _)| (*need).to_owned()).collect(),
            requires: self.requires,
            payload: self.payload,
            agent,
            run: self.run.map(|(text, _)| text.to_owned()),
            env: self.env,
            outputs: self.outputs,
            retries: self.retries.failed,
            wall: self.wall,
            exclusive: self.exclusive,
            validate,
        }
    }
}

/// What the task is an example of; kinds that start with `formic/` are the mesh's own.
fn kind(fields: &mut Fields<'_, '_>) -> Option<String> {
    let (text, node) = fields.text("kind")?;
    let known = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    let is_good = !text.is_empty() && text.len() <= KIND_MAX && text.chars().all(known);
    if !is_good || text.starts_with("formic/") {
        let wanted = "1 to 64 letters, digits, `.`, `_`, `/` or `-`, not beginning with `formic/`";
        fields.problems.push(expected(node, "`kind`", wanted));
        return None;
    }
    Some(text.to_owned())
}

fn needs<'a>(
    fields: &mut Fields<'a, '_>,
    task: &str,
    scope: &Scope<'_>,
) -> Vec<(&'a str, &'a Node)> {
    let mut needs: Vec<(&str, &Node)> = Vec::new();
    for (need, node) in fields.texts("needs") {
        if !scope.names.contains(&need) {
            let message = format!("task `{task}` needs `{need}`, which is no task of this plan");
            let others = scope.names.iter().copied().filter(|name| *name != task);
            let help = suggestion(need, others);
            fields.problems.push(Problem::new(&node.place, message).help(help));
        } else if needs.iter().any(|(known, _)| *known == need) {
            let message = format!("task `{task}` needs `{need}` twice");
            fields.problems.push(Problem::new(&node.place, message));
        } else {
            needs.push((need, node));
        }
    }
    if let Some((_, node)) = needs.get(NEEDS_MAX) {
        let message = format!("{} needs: a task has at most {NEEDS_MAX}", needs.len());
        fields.problems.push(Problem::new(&node.place, message));
    }
    needs
}

pub(crate) fn run<'a>(fields: &mut Fields<'a, '_>) -> Option<(&'a str, &'a Node)> {
    let (text, node) = fields.text("run")?;
    if text.trim().is_empty() {
        fields.problems.push(Problem::new(&node.place, "`run` is empty: expected a shell command"));
    }
    if text.contains("${{") {
        let message =
            "`${{ }}` in `run` is refused: a value could end the quotes around it and run as code";
        let help =
            "pass it by the environment: env: {NAME: \"${{ ... }}\"}, and use \"$NAME\" in `run`";
        fields.problems.push(Problem::new(&node.place, message).help(help.to_owned()));
    }
    Some((text, node))
}

fn outputs(fields: &mut Fields<'_, '_>) -> BTreeMap<String, String> {
    let mut outputs = BTreeMap::new();
    let entries = fields.named("outputs");
    for entry in entries {
        check_name(entry, "an output", fields.problems);
        let Some(path) = super::fields::text(&entry.value, &entry.key, fields.problems) else {
            continue;
        };
        let bad = path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | ".."));
        if bad {
            let message =
                format!("`{path}` is no output: expected a path beneath the task's output folder");
            fields.problems.push(Problem::new(&entry.value.place, message));
        }
        outputs.insert(entry.key.clone(), path.to_owned());
    }
    outputs
}

fn retries(fields: &mut Fields<'_, '_>) -> Retries {
    let Some(entry) = fields.get("retry") else { return Retries::default() };
    let validates = fields.get("validate").is_some();
    let known = ["max", "on"];
    let Some(mut retry) = Fields::of(&entry.value, "`retry`", &known, fields.problems) else {
        return Retries::default();
    };
    retry.need("max");
    let max = retry.count("max", 0, 100).unwrap_or(0);
    if retry.get("on").is_none() {
        return Retries { failed: max, rejected: max };
    }
    let mut retries = Retries::default();
    for (text, node) in retry.texts("on") {
        match text {
            "failed" => retries.failed = max,
            "rejected" if validates => retries.rejected = max,
            // Work of a lost peer is always executed again and never counted.
            "peer-lost" => {}
            "rejected" => {
                let message = "`rejected`: the task has no `validate`, so nobody rejects it";
                retry.problems.push(Problem::new(&node.place, message));
            }
            _ => {
                let message = format!("`{text}` is nothing to retry on");
                let help = suggestion(text, ["failed", "peer-lost", "rejected"]);
                retry.problems.push(Problem::new(&node.place, message).help(help));
            }
        }
    }
    retries
}

fn budget(fields: &mut Fields<'_, '_>) -> Option<Duration> {
    let entry = fields.get("budget")?;
    let mut budget = Fields::of(&entry.value, "`budget`", &["wall"], fields.problems)?;
    let fits = |wall: Duration| !wall.is_zero() && wall <= WALL_MAX;
    span(&mut budget, "wall", fits, "a duration above 0 and up to 24h")
}

/// A duration, if it is there and fits; else a problem says what was wanted.
pub(crate) fn span(
    fields: &mut Fields<'_, '_>,
    key: &str,
    fits: impl Fn(Duration) -> bool,
    wanted: &str,
) -> Option<Duration> {
    let (text, node) = fields.text(key)?;
    let problem = match parse_span(text) {
        Ok(span) if fits(span) => return Some(span),
        Ok(_) => expected(node, &format!("`{key}`"), wanted),
        Err(error) => Problem::new(&node.place, error.to_string()),
    };
    fields.problems.push(problem);
    None
}

/// `true`, or `{lease: 5s}`: how long the others wait when the holder is gone.
fn exclusive(fields: &mut Fields<'_, '_>) -> Option<Duration> {
    let entry = fields.get("exclusive")?;
    match &entry.value.kind {
        Kind::Map(_) => {}
        _ => match entry.value.json() {
            Value::Bool(false) => return None,
            Value::Bool(true) => return Some(LEASE),
            _ => {
                let wanted = "true, false, or a lease as in `{lease: 5s}`";
                fields.problems.push(expected(&entry.value, "`exclusive`", wanted));
                return None;
            }
        },
    }
    let mut lease = Fields::of(&entry.value, "`exclusive`", &["lease"], fields.problems)?;
    if lease.get("lease").is_none() {
        return Some(LEASE);
    }
    let fits = |span: Duration| (LEASE_MIN..=LEASE_MAX).contains(&span);
    span(&mut lease, "lease", fits, "a duration from 500ms to 10m")
}

/// Puts inputs in and checks references to tasks.
struct Filler<'a, 'p> {
    task: &'a str,
    needs: &'a [(&'a str, &'a Node)],
    scope: &'a Scope<'a>,
    outputs: Vec<(Range<usize>, String, String)>,
    problems: &'p mut Vec<Problem>,
}

impl Filler<'_, '_> {
    fn json(&mut self, node: &Node) -> Value {
        match (&node.kind, node.json()) {
            (Kind::List(items), _) => {
                Value::Array(items.iter().map(|item| self.json(item)).collect())
            }
            (Kind::Map(entries), _) => {
                let pairs = entries.iter().map(|it| (it.key.clone(), self.json(&it.value)));
                Value::Object(pairs.collect())
            }
            (Kind::Scalar { .. }, Value::String(text)) => Value::String(self.fill(&text, node)),
            (Kind::Scalar { .. }, value) => value,
        }
    }

    fn env(&mut self, entries: &[Entry]) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for entry in entries {
            self.env_name(entry);
            if let Some(text) = super::fields::text(&entry.value, &entry.key, self.problems) {
                env.insert(entry.key.clone(), self.fill(text, &entry.value));
            }
        }
        env
    }

    fn env_name(&mut self, entry: &Entry) {
        let name = &entry.key;
        let good = name_is_good(name)
            && !name.contains('-')
            && !name.starts_with(|first: char| first.is_ascii_digit());
        if !good {
            let message =
                format!("`{name}` is no name of a variable: expected letters, digits and _");
            self.problems.push(Problem::new(&entry.key_place, message));
        } else if name.starts_with("FORMIC_") {
            let message = format!("`{name}`: names that start with FORMIC_ are formic's own");
            self.problems.push(Problem::new(&entry.key_place, message));
        }
    }

    fn fill(&mut self, text: &str, node: &Node) -> String {
        let mut from = node.place.start;
        for found in template::find(text) {
            let place = self.locate(node, &mut from, &text[found.range.clone()]);
            match found.reference {
                Err(message) => self.problems.push(Problem::new(&place, message)),
                Ok(reference) => self.refer(reference, place),
            }
        }
        template::fill(text, |name| self.scope.inputs.get(name).cloned().flatten())
    }

    /// Where a reference stands in the source; the whole text where escapes hide it.
    fn locate(&self, node: &Node, from: &mut usize, reference: &str) -> Range<usize> {
        let raw = self.scope.source.text.get(*from..node.place.end).unwrap_or("");
        match raw.find(reference) {
            Some(at) => {
                let place = *from + at..*from + at + reference.len();
                *from = place.end;
                place
            }
            None => node.place.clone(),
        }
    }

    fn refer(&mut self, reference: Reference, place: Range<usize>) {
        match reference {
            Reference::Input(name) if !self.scope.inputs.contains_key(&name) => {
                let known = self.scope.inputs.keys().map(String::as_str);
                let help = suggestion(&name, known)
                    .unwrap_or_else(|| format!("declare it: inputs: {{{name}: {{default: ...}}}}"));
                let message = format!("undefined input `{name}`");
                self.problems.push(Problem::new(&place, message).help(help));
            }
            Reference::Input(_) => {}
            Reference::TaskValue(name) => self.refer_task(&name, &place),
            Reference::TaskOutput(name, file) => {
                self.refer_task(&name, &place);
                self.outputs.push((place, name, file));
            }
        }
    }

    fn refer_task(&mut self, name: &str, place: &Range<usize>) {
        let task = self.task;
        if !self.scope.names.contains(&name) {
            let others = self.scope.names.iter().copied().filter(|known| *known != task);
            let message = format!("undefined task `{name}`");
            self.problems.push(Problem::new(place, message).help(suggestion(name, others)));
        } else if !self.needs.iter().any(|(need, _)| *need == name) {
            let message = format!("task `{task}` uses `{name}`, which is not among its needs");
            let help = format!("write needs: [{name}]");
            self.problems.push(Problem::new(place, message).help(help));
        }
    }
}
