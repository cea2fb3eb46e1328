//! Rows with goals and verdicts, as text and as JSON.

use std::fmt::Write as _;

use formic_benches::{date::today, pairs::Ratio};
use serde_json::{Value, json};

/// One figure.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// The interval that holds a ratio with 95 %.
    pub(crate) within: Option<(f64, f64)>,
    /// The most that it may be.
    pub(crate) goal: Option<f64>,
    pub(crate) note: String,
}

#[derive(Default)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
}

impl Row {
    const fn verdict(&self) -> &'static str {
        match self.goal {
            None => "-",
            Some(goal) if self.value <= goal => "PASS",
            Some(_) => "MISS",
        }
    }
}

impl Table {
    /// A figure that is judged by nothing.
    pub(crate) fn plain(&mut self, name: String, value: f64, unit: &'static str, note: &str) {
        let note = note.to_owned();
        self.rows.push(Row { name, value, unit, within: None, goal: None, note });
    }

    /// A figure that may be at most `goal`.
    pub(crate) fn most(&mut self, name: String, value: f64, unit: &'static str, goal: f64) {
        let (note, goal) = (String::new(), Some(goal));
        self.rows.push(Row { name, value, unit, within: None, goal, note });
    }

    /// A ratio that may be at most `goal`.
    pub(crate) fn ratio(&mut self, name: String, ratio: Ratio, goal: f64, note: String) {
        let within = Some((ratio.low, ratio.high));
        let goal = Some(goal);
        self.rows.push(Row { name, value: ratio.median, unit: "x", within, goal, note });
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::from(
            "| what | value | unit | 95 % | goal | verdict | note |\n|---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let within = row
                .within
                .map_or_else(|| "-".to_owned(), |(low, high)| format!("{low:.2}..{high:.2}"));
            let goal = row.goal.map_or_else(|| "-".to_owned(), |goal| format!("<= {goal}"));
            let _ = writeln!(
                text,
                "| {} | {} | {} | {within} | {goal} | {} | {} |",
                row.name,
                number(row.value),
                row.unit,
                row.verdict(),
                row.note
            );
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        let row = |row: &Row| {
            json!({
                "row": row.name, "value": row.value, "unit": row.unit, "at_most": row.goal,
                "ci95": row.within.map(|(low, high)| json!([low, high])),
                "verdict": row.verdict(), "note": row.note,
            })
        };
        let rows: Vec<Value> = self.rows.iter().map(row).collect();
        let report = json!({
            "schema": 1, "suite": "consensus", "date": today(), "machine": machine(), "rows": rows,
        });
        format!("{report:#}\n")
    }

    pub(crate) fn markdown(&self) -> String {
        format!(
            "# Consensus: `cargo xtask bench consensus`\n\n{}, {}, release build, one thread; load of the machine at the \
             end {}. Rows as JSON: the file beside this one.\n\n{}",
            today(),
            machine(),
            load(),
            self.text()
        )
    }
}

fn number(value: f64) -> String {
    match value {
        _ if value >= 1_000.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} {} cores under {}", std::env::consts::ARCH, std::env::consts::OS)
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_judged() {
        let mut table = Table::default();
        table.most("a".to_owned(), 1.0, "x", 1.0);
        table.most("b".to_owned(), 1.01, "x", 1.0);
        table.plain("c".to_owned(), 12_345.6, "us", "n");
        let text = table.text();
        assert!(text.contains("| a | 1.000 | x | - | <= 1 | PASS |  |"), "{text}");
        assert!(text.contains("| b | 1.010 | x | - | <= 1 | MISS |  |"), "{text}");
        assert!(text.contains("| c | 12346 | us | - | - | - | n |"), "{text}");
        let json: Value = serde_json::from_str(&table.json()).unwrap();
        assert_eq!(json["rows"][1]["verdict"], "MISS");
    }
}
