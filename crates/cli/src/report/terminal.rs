use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Peers, Report, Tasks, Times};
use crate::span::show_ms;

/// Tasks of the plan that are shown one by one; more would fill the screen.
const RESULTS_MAX: usize = 12;
/// Characters of a value that are shown.
const VALUE_MAX: usize = 100;

impl Report {
    /// One screen for people: plain text, no colour.
    pub(crate) fn screen(&self) -> String {
        let mut out = format!("{}\n", self.headline());
        for line in self.results() {
            row(&mut out, &line.0, &line.1);
        }
        self.validated(&mut out);
        if let Some(line) = tasks(&self.tasks) {
            row(&mut out, "tasks", &line);
        }
        if let Some(line) = peers(&self.peers) {
            let state = match self.durable {
                Some(true) => "durable state",
                Some(false) => "state in memory only",
                None => "",
            };
            let shape = format!("{} over {}, {state}", self.topology, self.transport);
            row(&mut out, "peers", &format!("{line} ({shape})"));
        }
        times(&mut out, &self.ms);
        if let Some(path) = &self.certificate {
            row(&mut out, "proof", &format!("formic verify {path}"));
        }
        if let Some(path) = &self.events {
            row(&mut out, "story", &format!("formic why --events {path}"));
        }
        out
    }

    /// What voters decided, and who said no to all of it.
    fn validated(&self, out: &mut String) {
        let more = self.validations.len().saturating_sub(RESULTS_MAX);
        for validation in self.validations.iter().take(RESULTS_MAX) {
            let mut line = format!("{}: {}", validation.task, validation.words);
            if !validation.against.is_empty() {
                let _ = write!(line, "; no from {}", validation.against.join(", "));
            }
            row(out, "validated", &line);
        }
        if more > 0 {
            row(out, "validated", &format!("and {more} more: formic why"));
        }
        let mut against: BTreeMap<&str, usize> = BTreeMap::new();
        for who in self.validations.iter().flat_map(|it| &it.against) {
            *against.entry(who).or_default() += 1;
        }
        let all = self.validations.len();
        for (who, times) in against.iter().filter(|(_, times)| all > 1 && **times == all) {
            row(out, "dissent", &format!("{who} said no to all {times}"));
        }
        let liars: BTreeSet<&String> = self.validations.iter().flat_map(|it| &it.liars).collect();
        for liar in liars {
            row(out, "LIAR", &format!("{liar} contradicted itself as a voter: proven"));
        }
        if let Some(first) = self.validations.iter().find(|it| it.file.is_some()) {
            let file = first.file.as_deref().unwrap_or_default();
            let text = format!("formic verify {file} --electorate {}", first.electorate);
            row(out, "decision", &text);
        }
    }

    fn headline(&self) -> String {
        let total = self.tasks.total.unwrap_or(0);
        let failed = self.tasks.failed.unwrap_or(0);
        let resumed = if self.resumed { ", resumed after a crash" } else { "" };
        match (self.verdict.as_str(), failed) {
            ("complete", 0) if self.ok => format!("complete: {} ok{resumed}", tasks_word(total)),
            ("complete", 0) => {
                let count = tasks_word(self.errors.len() as u64);
                format!("complete, not ok: {count} of the plan without an accepted result{resumed}")
            }
            ("complete", _) => {
                format!("complete, not ok: {failed} of {} failed{resumed}", tasks_word(total))
            }
            (verdict, _) => format!("not complete: {verdict}"),
        }
    }

    fn results(&self) -> Vec<(String, String)> {
        let mut lines: Vec<(String, String)> = Vec::new();
        for (name, value) in self.result.iter().take(RESULTS_MAX) {
            let shown = match (self.errors.get(name), value) {
                (Some(error), _) => format!("FAILED: {error}"),
                (None, Value::Null) => "ok".to_owned(),
                (None, Value::String(text)) => text.trim_end().to_owned(),
                (None, value) => value.to_string(),
            };
            lines.push((name.clone(), cut(&shown)));
        }
        let more = self.result.len().saturating_sub(RESULTS_MAX);
        if more > 0 {
            lines.push(("...".to_owned(), format!("and {more} more: --json shows all")));
        }
        lines
    }
}

fn row(out: &mut String, name: &str, text: &str) {
    let mut lines = text.lines();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  {name:<10} {}", lines.next().unwrap_or(""));
    for line in lines {
        let _ = writeln!(out, "  {:<10} {line}", "");
    }
}

fn tasks_word(count: u64) -> String {
    format!("{} {}", thousands(count), if count == 1 { "task" } else { "tasks" })
}

fn tasks(tasks: &Tasks) -> Option<String> {
    let mut line = format!("{} done", thousands(tasks.ok? + tasks.failed?));
    let parts = [
        (tasks.executions, "executed"),
        (tasks.respawned, "respawned"),
        (tasks.duplicates, "wasted"),
        (tasks.lost, "lost"),
        (tasks.divergent_results.filter(|count| *count > 0), "with two different results"),
    ];
    for (count, word) in parts {
        if let Some(count) = count {
            let _ = write!(line, ", {} {word}", thousands(count));
        }
    }
    Some(line)
}

fn peers(peers: &Peers) -> Option<String> {
    let (started, killed) = (peers.started?, peers.killed?);
    Some(format!("{started} started, {killed} killed, {} left", peers.alive?))
}

fn times(out: &mut String, ms: &Times) {
    let steps = [
        ("peers up", ms.spawn),
        ("first task", ms.first_task),
        ("last body", ms.last_body),
        ("complete", ms.complete),
        ("everyone knows", ms.everyone_knows),
    ];
    let steps: Vec<String> = steps
        .iter()
        .filter_map(|(name, at)| at.map(|at| format!("{name} {}", show_ms(at))))
        .collect();
    if !steps.is_empty() {
        row(out, "times", &steps.join(", "));
    }
    let noticed =
        ms.detect_max.map(|max| format!("a kill was known everywhere in {}", show_ms(max)));
    let again = ms.respawn_max.map(|max| format!("its work ran again after {}", show_ms(max)));
    let both: Vec<String> = noticed.into_iter().chain(again).collect();
    if !both.is_empty() {
        row(out, "", &format!("{} at most", both.join(", ")));
    }
}

/// 1234567 as 1,234,567.
pub(crate) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Text of agents as it is shown: no control character reaches the terminal.
pub(crate) fn cut(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c });
    let mut shown: String = clean.clone().take(VALUE_MAX).collect();
    if clean.count() > VALUE_MAX {
        shown.push('…');
    }
    shown
}
