#![deny(clippy::indexing_slicing, clippy::as_conversions)]

use core::fmt;
use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// The name in `hello.protocol`.
pub(crate) const PROTOCOL: &str = "formic-agent";
/// The only version.
pub(crate) const VERSION: u32 = 1;

/// What the host says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum FromHost {
    Hello(Hello),
    Task(TaskMessage),
    Cancel { task: String, grace_ms: u64, reason: String },
    Error(ErrorMessage),
    Shutdown { grace_ms: u64 },
    Result(ResultMessage),
}

/// What the agent says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum FromAgent {
    Ready(Ready),
    Spawn(SpawnMessage),
    Join(JoinMessage),
    Progress {
        task: String,
        per_mille: u16,
        #[serde(default)]
        note: String,
    },
    Log {
        level: String,
        message: String,
        #[serde(default)]
        task: Option<String>,
    },
    Done(DoneMessage),
    Failed(FailedMessage),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: String,
    pub(crate) versions: Vec<u32>,
    pub(crate) host: String,
    pub(crate) peer: String,
    pub(crate) slots: u32,
    pub(crate) line_max: usize,
    pub(crate) inline_max: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskMessage {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) attempt: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fence: Option<String>,
    pub(crate) payload: Value,
    pub(crate) inputs: Map<String, Value>,
    pub(crate) outputs: Vec<String>,
    pub(crate) wall_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ErrorMessage {
    pub(crate) code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
    pub(crate) message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ResultMessage {
    pub(crate) re: String,
    pub(crate) ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcomes: Option<BTreeMap<String, ChildOutcome>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChildOutcome {
    /// `ok`, `failed`, `expired` or `cancelled`.
    pub status: String,
    /// The result, if it is ok.
    #[serde(default)]
    pub value: Value,
    /// Its output files by name: `path`, `size` and `sha256`.
    #[serde(default)]
    pub artifacts: BTreeMap<String, Value>,
    /// A short word for programs, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A sentence for people, if it is not ok.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) version: u32,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) capabilities: Vec<String>,
    pub(crate) slots: u32,
    pub(crate) features: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpawnMessage {
    pub(crate) id: String,
    pub(crate) task: String,
    #[serde(default)]
    pub(crate) tail: bool,
    pub(crate) child: ChildMessage,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChildMessage {
    pub(crate) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) requires: Vec<String>,
    pub(crate) payload: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) inputs: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) budget: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exclusive: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct JoinMessage {
    pub(crate) id: String,
    pub(crate) task: String,
    pub(crate) children: Children,
    #[serde(default)]
    pub(crate) any: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Children {
    Listed(Vec<String>),
    Word(All),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum All {
    #[serde(rename = "all")]
    All,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DoneMessage {
    pub(crate) task: String,
    pub(crate) value: Value,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) outputs: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FailedMessage {
    pub(crate) task: String,
    pub(crate) code: String,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) retryable: bool,
}

/// One side's messages.
pub(crate) trait Message: Serialize + DeserializeOwned {
    /// The types this side may send and the other understands.
    const TYPES: &'static [&'static str];
}

impl Message for FromHost {
    const TYPES: &'static [&'static str] =
        &["hello", "task", "cancel", "error", "shutdown", "result"];
}

impl Message for FromAgent {
    const TYPES: &'static [&'static str] =
        &["ready", "spawn", "join", "progress", "log", "done", "failed"];
}

/// Why a line is no message. The fault of whoever wrote the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineError {
    /// It does not begin with `{`: chatter of a library, not an attempt at a message.
    #[error("not a message")]
    Stray,
    #[error("{0}")]
    Bad(String),
    #[error("unknown type {name:?}")]
    UnknownType { name: String, id: Option<String> },
}

/// One line without its newline.
pub(crate) fn decode<M: Message>(line: &[u8]) -> Result<M, LineError> {
    if line.first() != Some(&b'{') {
        return Err(LineError::Stray);
    }
    let text = core::str::from_utf8(line)
        .map_err(|error| LineError::Bad(format!("no UTF-8 from byte {}", error.valid_up_to())))?;
    let Unique(value) =
        serde_json::from_str(text).map_err(|error| LineError::Bad(error.to_string()))?;
    let Some(name) = value.get("type").and_then(Value::as_str) else {
        return Err(LineError::Bad("no text under the key \"type\"".to_owned()));
    };
    if !M::TYPES.contains(&name) {
        let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
        return Err(LineError::UnknownType { name: name.chars().take(64).collect(), id });
    }
    serde_json::from_value(value).map_err(|error| LineError::Bad(error.to_string()))
}

/// One line with its newline.
pub(crate) fn encode<M: Message>(message: &M) -> Vec<u8> {
    // Cannot fail: all keys are strings. An empty line would be stray output to the reader.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// JSON in which no object has a key twice: readers that keep the first and readers that keep the last would disagree.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(UniqueVisitor).map(Unique)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated keys")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(value)) = input.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = input.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} is there twice")));
            }
            let Unique(value) = input.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_decode_to_what_was_encoded() {
        let done = FromAgent::Done(DoneMessage {
            task: "t1".into(),
            value: json!({"a": [1, -2, 0.5, null, true, "x"]}),
            outputs: Map::new(),
        });
        let line = encode(&done);
        assert_eq!(decode::<FromAgent>(line.strip_suffix(b"\n").unwrap()), Ok(done));
        let join = br#"{"type":"join","id":"r","task":"t","children":"all","new_field":1}"#;
        let Ok(FromAgent::Join(join)) = decode::<FromAgent>(join) else { panic!("no join") };
        assert_eq!((join.children, join.any), (Children::Word(All::All), false));
    }

    #[test]
    fn repeated_and_missing_keys_are_refused_at_any_depth() {
        for bad in [
            r#"{"type":"done","task":"t","value":1,"value":2}"#,
            r#"{"type":"done","task":"t","value":{"a":[{"b":1,"b":1}]}}"#,
            r#"{"type":"done","task":"t"}"#,
            r#"{"type":"done","task":7,"value":1}"#,
            r#"{"type":7}"#,
            r#"{"type":"done","task":"t","value":1"#,
            "{}",
        ] {
            let found = decode::<FromAgent>(bad.as_bytes());
            assert!(matches!(found, Err(LineError::Bad(_))), "{bad}: {found:?}");
        }
        assert!(matches!(decode::<FromAgent>(b"{\"type\":\"\xff\"}"), Err(LineError::Bad(_))));
    }

    #[test]
    fn stray_output_and_unknown_types_are_told_apart() {
        assert_eq!(decode::<FromAgent>(b"Loading model..."), Err(LineError::Stray));
        let unknown = LineError::UnknownType { name: "put".into(), id: Some("r9".into()) };
        assert_eq!(decode::<FromAgent>(br#"{"type":"put","id":"r9"}"#), Err(unknown));
    }
}
