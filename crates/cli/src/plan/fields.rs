use core::ops::Range;

use super::{
    problem::Problem,
    yaml::{Entry, Kind, Node},
};
use crate::nearest::suggestion;

/// Keys that the plan format has and this version does not, with what brings them.
const LATER: [(&str, &str); 13] = [
    ("priority", "scheduling by priority"),
    ("max_wait", "scheduling by priority"),
    ("expect", "scheduling by priority"),
    ("hedge", "learned routing"),
    ("share", "scheduling by priority"),
    ("role", "roles"),
    ("roles", "roles"),
    ("hold", "artifacts"),
    ("value", "sessions"),
    ("env_pass", "sessions"),
    ("permissions", "sessions"),
    ("tokens", "the token meter"),
    ("inputs", "artifacts"),
];

/// `WHAT is not in this version`, with what it will come with.
pub(crate) fn not_yet(what: &str, comes_with: &str) -> String {
    format!("{what} is not in formic {}: it comes with {comes_with}", env!("CARGO_PKG_VERSION"))
}

/// The entries of a map with known keys; collects what is wrong.
pub(crate) struct Fields<'a, 'p> {
    entries: &'a [Entry],
    place: Range<usize>,
    what: &'static str,
    pub(crate) problems: &'p mut Vec<Problem>,
}

impl<'a, 'p> Fields<'a, 'p> {
    /// Refuses what is no map and each key that is not among `known`.
    pub(crate) fn of(
        node: &'a Node,
        what: &'static str,
        known: &[&str],
        problems: &'p mut Vec<Problem>,
    ) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            problems.push(expected(node, what, "a map"));
            return None;
        };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            problems.push(unknown(entry, what, known));
        }
        Some(Self { entries, place: node.place.clone(), what, problems })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// A key that must be there.
    pub(crate) fn need(&mut self, key: &str) -> Option<&'a Entry> {
        let found = self.get(key);
        if found.is_none() {
            let message = format!("{} has no `{key}`", self.what);
            self.problems.push(Problem::new(&self.place, message));
        }
        found
    }

    pub(crate) fn text(&mut self, key: &str) -> Option<(&'a str, &'a Node)> {
        let node = &self.get(key)?.value;
        text(node, key, self.problems).map(|text| (text, node))
    }

    /// A list of texts with their places; one text alone is refused with how to write it.
    pub(crate) fn texts(&mut self, key: &str) -> Vec<(&'a str, &'a Node)> {
        let Some(entry) = self.get(key) else { return Vec::new() };
        let Kind::List(items) = &entry.value.kind else {
            let mut problem = expected(&entry.value, &format!("`{key}`"), "a list");
            if let Kind::Scalar { text, .. } = &entry.value.kind {
                problem =
                    problem.help((!text.is_empty()).then(|| format!("write {key}: [{text}]")));
            }
            self.problems.push(problem);
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|node| text(node, key, self.problems).map(|text| (text, node)))
            .collect()
    }

    /// A whole number within bounds.
    pub(crate) fn count(&mut self, key: &str, from: u32, to: u32) -> Option<u32> {
        let node = &self.get(key)?.value;
        let number = node.json().as_u64().and_then(|number| u32::try_from(number).ok());
        match number {
            Some(number) if (from..=to).contains(&number) => Some(number),
            _ => {
                let range = format!("a whole number from {from} to {to}");
                self.problems.push(expected(node, &format!("`{key}`"), &range));
                None
            }
        }
    }

    /// The entries of a map whose keys are names of the user's.
    pub(crate) fn named(&mut self, key: &str) -> &'a [Entry] {
        let Some(entry) = self.get(key) else { return &[] };
        match &entry.value.kind {
            Kind::Map(entries) => entries,
            _ => {
                self.problems.push(expected(&entry.value, &format!("`{key}`"), "a map"));
                &[]
            }
        }
    }
}

/// A scalar that is a text: a plain number or truth value must be quoted, so that nothing is guessed.
pub(crate) fn text<'a>(node: &'a Node, what: &str, problems: &mut Vec<Problem>) -> Option<&'a str> {
    match (&node.kind, node.json().is_string()) {
        (Kind::Scalar { text, .. }, true) => Some(text),
        (Kind::Scalar { text, .. }, false) if !text.is_empty() => {
            let problem = expected(node, &format!("`{what}`"), "a text");
            problems.push(problem.help(format!("write \"{text}\"")));
            None
        }
        _ => {
            problems.push(expected(node, &format!("`{what}`"), "a text"));
            None
        }
    }
}

pub(crate) fn expected(node: &Node, what: &str, wanted: &str) -> Problem {
    let found = match &node.kind {
        Kind::Scalar { text, plain: false } if text.len() <= 40 => format!("the text \"{text}\""),
        Kind::Scalar { text, .. } if !text.is_empty() && text.len() <= 40 => format!("`{text}`"),
        _ => node.word().to_owned(),
    };
    Problem::new(&node.place, format!("{what}: expected {wanted}, found {found}"))
}

fn unknown(entry: &Entry, what: &str, known: &[&str]) -> Problem {
    let key = &entry.key;
    if let Some((_, comes_with)) = LATER.iter().find(|(later, _)| later == key) {
        return Problem::new(&entry.key_place, not_yet(&format!("`{key}` of {what}"), comes_with));
    }
    Problem::new(&entry.key_place, format!("unknown key `{key}` in {what}"))
        .help(suggestion(key, known.iter().copied()))
}

/// A name of a task, an agent, an input or an output.
pub(crate) fn name_is_good(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !name.is_empty() && name.len() <= 64 && name.chars().all(known)
}

pub(crate) fn check_name(entry: &Entry, what: &str, problems: &mut Vec<Problem>) -> bool {
    let good = name_is_good(&entry.key);
    if !good {
        let message = format!(
            "`{}` is no name of {what}: expected 1 to 64 letters, digits, - or _",
            entry.key
        );
        problems.push(Problem::new(&entry.key_place, message));
    }
    good
}
