use std::collections::BTreeMap;

use formic_sim::{Mark, Violation, completion, consensus, node};
use serde_json::{Value, json};

use crate::{Options, Outcome, Profile, Sum};

/// Violations that are printed; all are counted.
const SHOWN: usize = 10;
/// The last lines of a trace that are printed with each.
const LINES: usize = 12;

/// The report of a campaign for people.
pub fn text(options: &Options, outcome: &Outcome) -> String {
    let mut lines = vec![head(options)];
    match &outcome.sum {
        Sum::Node(report) => node_lines(report, &mut lines),
        Sum::Completion(report) => completion_lines(report, &mut lines),
        Sum::Consensus(report) => consensus_lines(report, &mut lines),
    }
    let seconds = outcome.took.as_secs_f64();
    let speed = rate(options.seeds, seconds);
    lines.push(format!("  {seconds:.1} s on {} threads, {speed:.0} seeds/s", options.jobs));
    if outcome.violations.is_empty() {
        let bound = 3.0 / rate(options.seeds, 1.0).max(1.0);
        lines.push(format!(
            "  no violation: at 95 % fewer than {bound:.1e} of all seeds have one; this is no proof"
        ));
    }
    for violation in outcome.violations.iter().take(SHOWN) {
        let name = options.profile.name();
        let sign = if matches!(options.profile, Profile::Scenario(_)) { ':' } else { ' ' };
        let again = format!("sim replay {name}{sign}{}", violation.seed);
        let Violation { seed, oracle, at, what, trace } = violation;
        let last = trace.iter().rev().take(LINES).rev().map(|line| format!("    {line}\n"));
        let trace: String = last.collect();
        lines.push(format!(
            "seed {seed} violates {oracle} at {at:?}: {what}\n{trace}  again: cargo xtask {again}"
        ));
    }
    if !outcome.violations.is_empty() {
        let (count, all) = (outcome.violations.len(), options.seeds);
        let oracles = by_oracle(&outcome.violations);
        let oracles: Vec<_> =
            oracles.iter().map(|(name, count)| format!("{name} {count}")).collect();
        lines.push(format!("{count} of {all} seeds violate a claim: {}", oracles.join(", ")));
    }
    if !outcome.missed.is_empty() {
        let names: Vec<_> = outcome.missed.iter().map(|mark| mark.name()).collect();
        lines.push(format!("no seed reached: {}", names.join(", ")));
    }
    lines.join("\n")
}

fn head(options: &Options) -> String {
    let last = options.first.saturating_add(options.seeds.saturating_sub(1));
    format!("{}, seeds {}..={last}", options.profile.name(), options.first)
}

/// How many seeds each oracle caught.
fn by_oracle(violations: &[Violation]) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for violation in violations {
        *counts.entry(violation.oracle).or_default() += 1;
    }
    counts
}

fn rate(count: u64, seconds: f64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds.max(1e-9)
}

fn node_lines(sum: &node::Report, lines: &mut Vec<String>) {
    let faults: Vec<_> = sum.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let faults = if faults.is_empty() { "none".to_owned() } else { faults.join(", ") };
    let marks = |mark: &Mark| format!("{} {}", mark.name(), sum.marks.count(*mark));
    let marks: Vec<_> = Mark::ALL.iter().map(marks).collect();
    let one_view = sum.one_view_sum.checked_div(u32::try_from(sum.seeds).unwrap_or(u32::MAX));
    let healed = sum.healed_sum.checked_div(u32::try_from(sum.seeds).unwrap_or(u32::MAX));
    lines.extend([
        format!(
            "  {} runs held: {} lives, {} jobs ({} acknowledged), {} tasks, {} executions, {} verdicts",
            sum.seeds, sum.starts, sum.jobs, sum.submitted, sum.tasks, sum.executions, sum.verdicts
        ),
        format!(
            "  {} messages, {} inputs, {} wakes, {} dials, {} events; {} inputs were late for their task",
            sum.messages, sum.inputs, sum.wakes, sum.dials, sum.steps, sum.refused
        ),
        format!(
            "  {} crashes, {} judged detections, {} false downs, {} respawns, {} home take-overs",
            sum.crashes, sum.detections, sum.false_downs, sum.respawns, sum.takeovers
        ),
        format!(
            "  {} views, {} evicted lives reborn; {} runs lost their majority for good: not judged",
            sum.views, sum.reborn, sum.waived
        ),
        format!(
            "  {} accepted jobs lost a majority of their home group for good: not judged",
            sum.lost_homes
        ),
        format!(
            "  from the last fault until all knew one view: mean {:?}, longest {:?}",
            one_view.unwrap_or_default(),
            sum.one_view_max
        ),
        format!("  faults that struck: {faults}"),
        format!("  runs that reached a mark: {}", marks.join(", ")),
        format!(
            "  {:.1} virtual hours; from the last fault until all was well: mean {:?}, longest {:?}",
            sum.virtual_time.as_secs_f64() / 3_600.0,
            healed.unwrap_or_default(),
            sum.healed_max
        ),
    ]);
}

fn completion_lines(sum: &completion::Report, lines: &mut Vec<String>) {
    lines.extend([
        format!(
            "  {} runs held, {} tasks, {} executions, {} crashes, {} restarts, {} false suspicions",
            sum.seeds, sum.tasks, sum.executions, sum.crashes, sum.restarts, sum.suspicions
        ),
        format!(
            "  {} messages, {} respawns, {} home take-overs, {} successions, {} verdicts learnt, {} with \
             exclusions",
            sum.messages,
            sum.respawns,
            sum.takeovers,
            sum.successions,
            sum.closed,
            sum.exclusions
        ),
        format!(
            "  {} runs lost a majority of their home group for good: not judged",
            sum.waived
        ),
        format!(
            "  {} runs lost all that knew the verdict: whether the others end is not judged",
            sum.untold
        ),
        format!(
            "  fault-free, virtual: last body to complete {:?} (max {:?}), complete to first verdict \
             {:?}, first to last verdict {:?}",
            sum.to_complete.mean(),
            sum.to_complete.max,
            sum.to_verdict.mean(),
            sum.to_all.mean()
        ),
        format!("  {:.1} virtual hours", sum.virtual_time.as_secs_f64() / 3_600.0),
    ]);
}

fn consensus_lines(sum: &consensus::Report, lines: &mut Vec<String>) {
    lines.extend([
        format!(
            "  {} runs held: {} decisions ({} approved, {} rejected, {} expired), highest round {}",
            sum.seeds, sum.decisions, sum.approved, sum.rejected, sum.expired, sum.rounds_max
        ),
        format!(
            "  {} messages, {} of liars refused, {} inputs late; {} crashes, {} stalls",
            sum.messages, sum.refused, sum.late, sum.crashes, sum.stalled
        ),
        format!(
            "  {} proofs against liars, none against the honest; {} forks by more liars than may be, all proven",
            sum.accused, sum.forks
        ),
        format!("  {:.1} virtual hours", sum.virtual_time.as_secs_f64() / 3_600.0),
    ]);
}

/// The report of a campaign for programs.
pub fn json(options: &Options, outcome: &Outcome) -> Value {
    let violations: Vec<Value> = outcome
        .violations
        .iter()
        .map(|one| {
            let at = one.at.as_us();
            json!({"seed": one.seed, "oracle": one.oracle, "at_us": at, "what": one.what})
        })
        .collect();
    let missed: Vec<_> = outcome.missed.iter().map(|mark| mark.name()).collect();
    json!({
        "profile": options.profile.name(),
        "first": options.first,
        "seeds": options.seeds,
        "jobs": options.jobs,
        "seconds": outcome.took.as_secs_f64(),
        "held": outcome.sum.seeds(),
        "counts": counts(&outcome.sum),
        "violations": violations,
        "missed_marks": missed,
    })
}

fn counts(sum: &Sum) -> Value {
    match sum {
        Sum::Node(sum) => {
            let marks: BTreeMap<_, _> =
                Mark::ALL.iter().map(|mark| (mark.name(), sum.marks.count(*mark))).collect();
            json!({
                "lives": sum.starts, "jobs": sum.jobs, "acknowledged": sum.submitted,
                "tasks": sum.tasks, "executions": sum.executions, "verdicts": sum.verdicts,
                "messages": sum.messages, "inputs": sum.inputs, "wakes": sum.wakes,
                "dials": sum.dials, "events": sum.steps, "crashes": sum.crashes,
                "detections": sum.detections, "false_downs": sum.false_downs,
                "respawns": sum.respawns, "takeovers": sum.takeovers,
                "views": sum.views, "reborn": sum.reborn, "waived": sum.waived,
                "lost_homes": sum.lost_homes,
                "one_view_max_ms": sum.one_view_max.as_secs_f64() * 1e3,
                "faults": sum.faults, "marks": marks,
                "virtual_seconds": sum.virtual_time.as_secs_f64(),
                "healed_max_seconds": sum.healed_max.as_secs_f64(),
            })
        }
        Sum::Consensus(sum) => json!({
            "decisions": sum.decisions, "approved": sum.approved, "rejected": sum.rejected,
            "expired": sum.expired, "messages": sum.messages, "refused": sum.refused,
            "late": sum.late, "accused": sum.accused, "crashes": sum.crashes,
            "stalled": sum.stalled, "forks": sum.forks, "rounds_max": sum.rounds_max,
            "virtual_seconds": sum.virtual_time.as_secs_f64(),
        }),
        Sum::Completion(sum) => json!({
            "tasks": sum.tasks, "executions": sum.executions, "messages": sum.messages,
            "crashes": sum.crashes, "restarts": sum.restarts, "suspicions": sum.suspicions,
            "respawns": sum.respawns, "takeovers": sum.takeovers, "verdicts": sum.closed,
            "successions": sum.successions, "exclusions": sum.exclusions, "waived": sum.waived, "untold": sum.untold,
            "virtual_seconds": sum.virtual_time.as_secs_f64(),
        }),
    }
}
