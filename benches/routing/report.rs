//! The same as JSON, with when and on what it was measured.

use std::{fs, thread, time::SystemTime};

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
        "date": date(),
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

/// Today in UTC, by the days since 1970 (Hinnant, `civil_from_days`).
fn date() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    civil(since.map_or(0, |span| span.as_secs() / 86_400))
}

fn civil(days: u64) -> String {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn days_are_dates() {
        assert_eq!(super::civil(0), "1970-01-01");
        assert_eq!(super::civil(19_782), "2024-02-29");
        assert_eq!(super::civil(20_454), "2026-01-01");
    }
}
