//! Rows, goals and verdicts.

use std::{fmt::Write as _, process::ExitCode};

use formic_benches::pairs::{Pairs, Ratio, Round};
use serde_json::{Value, json};

/// How long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Quick,
    Full,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Units per second: more is better.
    Rate,
    /// Microseconds per unit: less is better.
    Latency,
}

/// What must hold of ours over theirs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

struct Row {
    name: &'static str,
    theirs: &'static str,
    figure: Figure,
    pairs: Pairs,
    goal: Goal,
}

pub(crate) struct Table {
    effort: Effort,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    Fail,
    Unstable,
}

fn latency_us(round: &Round) -> f64 {
    1e6 / round.rate()
}

impl Row {
    fn figure(&self) -> fn(&Round) -> f64 {
        match self.figure {
            Figure::Rate => Round::rate,
            Figure::Latency => latency_us,
        }
    }

    fn verdict(&self, ratio: Ratio) -> Verdict {
        // performance.md section 3: the bad end of the interval may miss the goal by 5 %.
        let held = match self.goal {
            Goal::AtLeast(goal) => ratio.median >= goal && ratio.low >= goal * 0.95,
            Goal::AtMost(goal) => ratio.median <= goal && ratio.high <= goal * 1.05,
        };
        let is_wide = (ratio.high - ratio.low) / 2.0 > ratio.median * 0.1;
        match (held, is_wide) {
            (true, false) => Verdict::Pass,
            (_, true) => Verdict::Unstable,
            (false, false) => Verdict::Fail,
        }
    }
}

impl Goal {
    fn text(self) -> String {
        match self {
            Self::AtLeast(goal) => format!(">= {goal}"),
            Self::AtMost(goal) => format!("<= {goal}"),
        }
    }
}

impl Verdict {
    const fn text(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Unstable => "unstable",
        }
    }
}

impl Table {
    pub(crate) const fn new(effort: Effort) -> Self {
        Self { effort, rows: Vec::new() }
    }

    /// Units of a round: a tenth for a glance.
    pub(crate) const fn units(&self, full: u64) -> u64 {
        match self.effort {
            Effort::Full => full,
            Effort::Quick => full / 10,
        }
    }

    pub(crate) fn add(
        &mut self,
        (name, theirs): (&'static str, &'static str),
        (figure, goal): (Figure, Goal),
        ours: impl FnMut() -> Round,
        other: impl FnMut() -> Round,
    ) {
        let rounds = match self.effort {
            Effort::Full => 15,
            Effort::Quick => 5,
        };
        let pairs = Pairs::run(rounds, ours, other);
        self.rows.push(Row { name, theirs, figure, pairs, goal });
    }

    pub(crate) fn text(&self) -> String {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("unknown").to_owned();
        let mut text = format!(
            "load now {load} (this program's own in it)\n\n\
             | row | unit | ours | comparator | theirs | ratio | 95 % | goal | cpu ns, ours | theirs | verdict |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n"
        );
        for row in &self.rows {
            let (scale, unit) = match row.figure {
                Figure::Rate => (1e-6, "M/s"),
                Figure::Latency => (1.0, "us"),
            };
            let of = |side| row.pairs.median(side, row.figure()) * scale;
            let cpu = |side| row.pairs.median(side, Round::cpu_ns);
            let ratio = row.pairs.ratio(row.figure());
            let _ = writeln!(
                text,
                "| {} | {unit} | {:.3} | {} | {:.3} | {:.2} | {:.2}..{:.2} | {} | {:.0} | {:.0} | {} |",
                row.name,
                of(0),
                row.theirs,
                of(1),
                ratio.median,
                ratio.low,
                ratio.high,
                row.goal.text(),
                cpu(0),
                cpu(1),
                row.verdict(ratio).text(),
            );
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        let round = |it: &Round| json!({ "units": it.units, "wall_us": micros(it.wall), "cpu_us": micros(it.cpu) });
        let rows = self.rows.iter().map(|row| {
            let ratio = row.pairs.ratio(row.figure());
            let rounds: Vec<Value> =
                row.pairs.rounds.iter().map(|[a, b]| json!([round(a), round(b)])).collect();
            json!({
                "row": row.name, "comparator": row.theirs, "ratio": ratio.median,
                "low": ratio.low, "high": ratio.high, "goal": row.goal.text(),
                "verdict": row.verdict(ratio).text(), "rounds": rounds,
            })
        });
        format!(
            "{:#}\n",
            json!({ "schema": 1, "suite": "messages", "rows": rows.collect::<Vec<_>>() })
        )
    }

    /// 1 if a goal was missed, 3 if the machine was too restless to tell, as `performance.md` says.
    pub(crate) fn verdict(&self) -> ExitCode {
        let mut verdicts = self.rows.iter().map(|row| row.verdict(row.pairs.ratio(row.figure())));
        if verdicts.clone().any(|it| it == Verdict::Fail) {
            return ExitCode::from(1);
        }
        if verdicts.any(|it| it == Verdict::Unstable) {
            ExitCode::from(3)
        } else {
            ExitCode::SUCCESS
        }
    }
}

fn micros(span: core::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
