#![deny(clippy::indexing_slicing, clippy::as_conversions)]

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use formic::{Capability, ChildSpec, Key, Outcome};
use serde_json::{Value, json};

use super::{ChildMessage, JoinMessage, Wait};
use crate::protocol::{ChildOutcome, Children};

/// The lease of an exclusive child (healing.md 7.2).
const LEASE: Duration = Duration::from_secs(1);

/// A child as the peer knows it.
pub(super) fn child_spec(
    child: ChildMessage,
    index: u64,
) -> Result<ChildSpec, (&'static str, String)> {
    let later = [("inputs", child.inputs.as_ref()), ("budget", child.budget.as_ref())];
    if let Some((field, _)) = later.iter().find(|(_, value)| value.is_some_and(is_set)) {
        return Err(("unsupported", format!("this host does not offer `{field}` for children")));
    }
    let requires: Result<Vec<Capability>, _> =
        child.requires.iter().map(|name| name.parse()).collect();
    let requires = requires.map_err(|error| ("bad_capability", error.to_string()))?;
    let mut spec = ChildSpec::new(child.kind, child.payload)
        .requires(requires)
        .index(child.index.unwrap_or(index));
    spec.name = child.name;
    spec.exclusive = match child.exclusive {
        None | Some(Value::Null | Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(LEASE),
        Some(other) => {
            return Err(("bad_exclusive", format!("expected true or false, found {other}")));
        }
    };
    Ok(spec)
}

/// Empty inputs and `false` ask for nothing.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

pub(super) fn wait_of(
    message: &JoinMessage,
    spawned: &[Key],
) -> Result<Wait, (&'static str, String)> {
    let any = message.any;
    let keys = match &message.children {
        Children::Word(_) if any => spawned.to_vec(),
        Children::Word(_) => return Ok(Wait::Everything),
        Children::Listed(keys) => {
            let keys: Result<Vec<Key>, _> = keys.iter().map(|key| key.parse()).collect();
            keys.map_err(|error| ("bad_key", error.to_string()))?
        }
    };
    let known: BTreeSet<&Key> = spawned.iter().collect();
    if let Some(stranger) = keys.iter().find(|key| !known.contains(key)) {
        return Err(("unknown_child", format!("{stranger} is no child of this task")));
    }
    if any && keys.is_empty() {
        return Err(("no_children", "a join of any needs at least one child".to_owned()));
    }
    Ok(if any { Wait::Any(keys) } else { Wait::All(keys) })
}

pub(super) fn outcomes(ended: BTreeMap<Key, Outcome>) -> BTreeMap<String, ChildOutcome> {
    ended.into_iter().map(|(key, outcome)| (key.to_string(), child_outcome(outcome))).collect()
}

fn child_outcome(outcome: Outcome) -> ChildOutcome {
    let status = outcome.word().to_owned();
    let mut child = ChildOutcome {
        status,
        value: Value::Null,
        artifacts: BTreeMap::new(),
        code: None,
        message: None,
    };
    match outcome {
        Outcome::Ok(output) => {
            // Every peer checks values before they travel; one that is no JSON reads as null.
            child.value = serde_json::from_slice(&output.value).unwrap_or_default();
            child.artifacts = output
                .files
                .into_iter()
                .map(|file| {
                    let sha256 = file.digest.to_string();
                    (file.name, json!({"path": file.path, "size": file.size, "sha256": sha256}))
                })
                .collect();
        }
        Outcome::Failed(failure) => {
            child.code = Some(failure.code);
            child.message = Some(failure.message);
        }
        Outcome::Expired { reason } | Outcome::Cancelled { reason } => child.message = Some(reason),
    }
    child
}
