use core::ops::Range;
use std::iter::Peekable;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Number, Value};

use super::problem::Problem;

/// Levels of nesting: no plan needs more, and the reader recurses.
const DEPTH_MAX: usize = 64;

/// A YAML value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Range<usize>,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Text as written; `plain` text without quotes may mean a number, a truth value or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value. Keys of one map are unique.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Range<usize>,
    pub(crate) value: Node,
}

impl Node {
    /// What it is, for "expected X, found Y".
    pub(crate) fn word(&self) -> &'static str {
        match &self.kind {
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Scalar { .. } => match self.json() {
                Value::Null => "nothing",
                Value::Bool(_) => "a truth value",
                Value::Number(_) => "a number",
                _ => "a text",
            },
        }
    }

    /// The same as JSON, as the YAML 1.2 core schema reads it.
    pub(crate) fn json(&self) -> Value {
        match &self.kind {
            Kind::Scalar { text, plain: true } => plain_scalar(text),
            Kind::Scalar { text, plain: false } => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Kind::Map(entries) => {
                let pairs = entries.iter().map(|entry| (entry.key.clone(), entry.value.json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }
}

fn plain_scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    let based = |digits, base| u64::from_str_radix(digits, base).ok();
    if let Some(digits) = text.strip_prefix("0x") {
        return based(digits, 16).map(Number::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return based(digits, 8).map(Number::from);
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    let float = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_digit());
    // Infinite is what overflows: JSON has no such number, it stays a text.
    if float { text.parse().ok().and_then(Number::from_f64) } else { None }
}

/// Reads one document.
///
/// Problems that leave a readable tree (doubled keys, anchors, tags) are appended to `problems`.
pub(crate) fn parse(text: &str, problems: &mut Vec<Problem>) -> Result<Node, Problem> {
    let parser = Parser::new_from_str(text).peekable();
    let mut reader = Reader { parser, problems, text };
    let mut root = None;
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            _ if root.is_some() => {
                let place = reader.place(&span);
                return Err(Problem::new(&place, "a second document: a plan is one YAML document"));
            }
            event => root = Some(reader.node(event, &span, 0)?),
        }
    }
    root.ok_or_else(|| {
        Problem::new(&(0..0), "the plan is empty: expected a map with `version` and `tasks`")
    })
}

struct Reader<'a> {
    parser: Peekable<Parser<'a, StrInput<'a>>>,
    problems: &'a mut Vec<Problem>,
    text: &'a str,
}

impl<'a> Reader<'a> {
    /// The next event that is no comment.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        loop {
            match self.parser.next() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(pair)) => return Ok(Some(pair)),
                Some(Err(error)) => return Err(self.broken(&error)),
            }
        }
    }

    fn broken(&self, error: &ScanError) -> Problem {
        let at = error.marker().byte_offset().unwrap_or(self.text.len());
        Problem::new(&(at..at), format!("this is no YAML: {}", error.info()))
    }

    fn place(&self, span: &Span) -> Range<usize> {
        let start = span.start.byte_offset().unwrap_or(0);
        start..span.end.byte_offset().unwrap_or(start).max(start)
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Problem> {
        let place = self.place(span);
        if depth > DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            return Err(Problem::new(&place, message));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.plainness(&place, anchor, tag.as_deref());
                let plain = style == ScalarStyle::Plain;
                Ok(Node { place, kind: Kind::Scalar { text: text.into_owned(), plain } })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.plainness(&place, anchor, tag.as_deref());
                self.list(place, depth)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.plainness(&place, anchor, tag.as_deref());
                self.map(place, depth)
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                Err(Problem::new(&place, "aliases are no part of the plan format: write it out"))
            }
            _ => Err(Problem::new(&place, "this is no YAML value")),
        }
    }

    fn plainness(&mut self, place: &Range<usize>, anchor: usize, tag: Option<&Tag>) {
        if anchor != 0 {
            let message = "anchors are no part of the plan format: write it out";
            self.problems.push(Problem::new(place, message));
        }
        if tag.is_some() {
            self.problems.push(Problem::new(place, "tags are no part of the plan format"));
        }
    }

    fn list(&mut self, place: Range<usize>, depth: usize) -> Result<Node, Problem> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
        Ok(Node { place, kind: Kind::List(items) })
    }

    fn map(&mut self, place: Range<usize>, depth: usize) -> Result<Node, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, &span, depth + 1)?;
            let Some((event, span)) = self.next()? else { break };
            let value = self.node(event, &span, depth + 1)?;
            self.enter(&mut entries, key, value);
        }
        Ok(Node { place, kind: Kind::Map(entries) })
    }

    fn enter(&mut self, entries: &mut Vec<Entry>, key: Node, value: Node) {
        let Kind::Scalar { text, .. } = key.kind else {
            let message = format!("expected a text as key, found {}", key.word());
            self.problems.push(Problem::new(&key.place, message));
            return;
        };
        if let Some(first) = entries.iter().find(|entry| entry.key == text) {
            let line = self.text[..first.key_place.start].matches('\n').count() + 1;
            let message = format!("`{text}` stands twice: first in line {line}");
            self.problems.push(Problem::new(&key.place, message));
            return;
        }
        entries.push(Entry { key: text, key_place: key.place, value });
    }
}
