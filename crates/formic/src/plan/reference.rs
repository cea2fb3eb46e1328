use std::collections::BTreeMap;

use formic_core::Output;
use serde_json::Value;

/// A part of a string in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Value { task: &'a str },
    File { task: &'a str, file: &'a str },
}

/// What is wrong inside `${{ }}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadReference {
    Unclosed,
    Unknown { text: String },
}

/// Splits a string at its references.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, BadReference> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        let (inside, behind) = after.split_once("}}").ok_or(BadReference::Unclosed)?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(reference(inside.trim())?);
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

fn reference(text: &str) -> Result<Piece<'_>, BadReference> {
    let unknown = || BadReference::Unknown { text: text.to_owned() };
    let path = text.strip_prefix("tasks.").ok_or_else(unknown)?;
    if let Some(task) = path.strip_suffix(".value").filter(|task| !task.is_empty()) {
        return Ok(Piece::Value { task });
    }
    match path.split_once(".outputs.") {
        Some((task, file)) if !task.is_empty() && !file.is_empty() => {
            Ok(Piece::File { task, file })
        }
        _ => Err(unknown()),
    }
}

/// Results of the tasks that ended well, by name.
pub(crate) type Results<'a> = BTreeMap<&'a str, &'a Output>;

/// What a reference stands for is not there, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing(pub(crate) String);

/// `value` with all references in its strings replaced.
pub(crate) fn substitute(value: &Value, results: &Results<'_>) -> Result<Value, Missing> {
    Ok(match value {
        Value::String(text) => substitute_text(text, results)?,
        Value::Array(items) => Value::Array(
            items.iter().map(|item| substitute(item, results)).collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => {
            let replaced =
                |(name, field): (&String, &Value)| Ok((name.clone(), substitute(field, results)?));
            Value::Object(fields.iter().map(replaced).collect::<Result<_, _>>()?)
        }
        other => other.clone(),
    })
}

/// A string with its references replaced: the value itself if it is exactly one reference.
pub(crate) fn substitute_text(text: &str, results: &Results<'_>) -> Result<Value, Missing> {
    let pieces = pieces(text).map_err(|_| Missing(format!("a bad reference in {text:?}")))?;
    if let [single @ (Piece::Value { .. } | Piece::File { .. })] = pieces.as_slice() {
        return resolve(single, results);
    }
    let mut joined = String::new();
    for piece in &pieces {
        joined.push_str(&as_text(resolve(piece, results)?));
    }
    Ok(Value::String(joined))
}

/// How a value looks inside a longer string, or in an environment variable.
pub(crate) fn as_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn resolve(piece: &Piece<'_>, results: &Results<'_>) -> Result<Value, Missing> {
    let output = |task: &str| {
        results.get(task).copied().ok_or_else(|| Missing(format!("task {task} has no result")))
    };
    match piece {
        Piece::Text(text) => Ok(Value::String((*text).to_owned())),
        Piece::Value { task } => serde_json::from_slice(&output(task)?.value)
            .map_err(|_| Missing(format!("the value of task {task} is no JSON"))),
        Piece::File { task, file } => {
            let found = output(task)?.files.iter().find(|candidate| candidate.name == *file);
            let path = found.map(|found| Value::String(found.path.clone()));
            path.ok_or_else(|| Missing(format!("task {task} has no output {file}")))
        }
    }
}
