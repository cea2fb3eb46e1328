//! The same as JSON, with when and on what it was measured.

use std::{fs, thread};

use formic_benches::date::today;
use serde_json::{Value, json};

use crate::{
    Plan,
    figures::{Row, adaptation},
    goals::{self, Bound, Verdict},
    tables::Measured,
};

pub(crate) fn write(path: &str, plan: &Plan, rows: &[Measured]) -> Result<(), std::io::Error> {
    let goals: Vec<Value> = goals::all(rows)
        .iter()
        .map(|goal| {
            let (relation, bound) = match goal.bound {
                Bound::AtLeast(bound) => ("at_least", bound),
                Bound::AtMost(bound) => ("at_most", bound),
            };
            let verdict = if goal.verdict() == Verdict::Pass { "PASS" } else { "MISS" };
            json!({
                "claim": goal.claim, "value": round(goal.value), "ci95_half": goal.half.map(round),
                relation: bound, "verdict": verdict,
            })
        })
        .collect();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let report = json!({
        "schema": 1,
        "suite": "routing",
        "time": "virtual",
        "date": today(),
        "machine": { "arch": std::env::consts::ARCH, "os": std::env::consts::OS, "cores": cores },
        "seeds": { "first": plan.first, "ten_peers": plan.seeds, "hundred_peers": plan.large },
        "goals": goals,
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
    });
    fs::write(path, format!("{report:#}\n"))
}

fn row(measured: &Measured) -> Value {
    let figure = |field: fn(&Row) -> f64| {
        let mean = measured.mean(field);
        json!([round(mean.mean), round(mean.half)])
    };
    json!({
        "table": measured.table,
        "scenario": measured.scenario.name,
        "rule": measured.contestant,
        "peers": measured.scenario.peers,
        "load_percent": measured.scenario.load,
        "slo_percent": figure(|row| row.slo),
        "correct_percent": figure(|row| row.correct),
        "refused_percent": figure(|row| row.refused),
        "p50_ms": figure(|row| row.p50),
        "p99_ms": figure(|row| row.p99),
        "liars_share_percent": figure(|row| row.share),
        "probes_a_task": figure(|row| row.probes),
        "hints_a_task": figure(|row| row.hints),
        "trails_a_task": figure(|row| row.trails),
        "settled_after_swap_s": adaptation(&measured.rows),
    })
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
