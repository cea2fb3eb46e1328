//! Tables in Markdown.

use core::time::Duration;

use formic_sim::detect::{Figures, LASTING, LONG};

use crate::rows::{self, Effort, Measured};

pub(crate) fn print(effort: Effort) {
    println!(
        "Virtual time; a message takes 0.3-2 ms. Detect: from the crash until the last live peer holds it\n\
         dead. False: a live peer held dead by anybody, per peer-hour; where none was seen, the rate that is\n\
         excluded at 95 %. Messages and bytes (without what a transport adds) are those of a mesh in which\n\
         nobody crashes.\n"
    );
    losses(effort);
    stalls(effort);
    bursts(effort);
    correlated(effort);
}

fn losses(effort: Effort) {
    println!(
        "| detector | n | loss | crashes | missed | detect p50 / p99 / max, ms | false per peer-hour \
         | messages/s per peer | bytes/s per peer |\n|---|---|---|---|---|---|---|---|---|"
    );
    for measured in rows::measure(&rows::losses(effort)) {
        let Measured { row, crashes, quiet } = &measured;
        let (messages, bytes) = traffic(quiet);
        println!(
            "| {} | {} | {} % | {} | {} | {} | {} | {messages} | {bytes} |",
            row.contestant.name(),
            row.setting.peers,
            row.setting.loss_permille / 10,
            crashes.detected.len() as u64 + crashes.missed,
            crashes.missed,
            spread(&crashes.detected),
            rate(
                crashes.false_verdicts + quiet.false_verdicts,
                (crashes.lived + quiet.lived).as_secs_f64() / 3_600.0
            ),
        );
    }
}

fn stalls(effort: Effort) {
    println!("\nProcesses stall: 0.5 a second each, exponential, mean 100 ms; nothing is lost.\n");
    pauses("stalls", &rows::measure(&rows::stalls(effort)));
}

fn bursts(effort: Effort) {
    println!(
        "\nBursts: every 5 s, for 100 ms in the mean, exponential, all that a process sends or should get\n\
         is lost while it runs on; 5 % loss otherwise.\n"
    );
    pauses("bursts", &rows::measure(&rows::bursts(effort)));
}

fn pauses(what: &str, rows: &[Measured]) {
    let (long, lasting) = (LONG.as_millis(), LASTING.as_millis());
    println!(
        "| detector | n | {what} | above {long} ms | false verdicts | per {what} above {long} ms \
         | above {lasting} ms | false evictions |\n|---|---|---|---|---|---|---|---|"
    );
    for Measured { row, quiet, .. } in rows {
        println!(
            "| {} | {} | {} | {} | {} | {:.2} | {} | {} |",
            row.contestant.name(),
            row.setting.peers,
            quiet.pauses,
            quiet.long_pauses,
            quiet.false_verdicts,
            quiet.false_verdicts as f64 / quiet.long_pauses.max(1) as f64,
            quiet.lasting_pauses,
            quiet.false_evictions,
        );
    }
}

fn correlated(effort: Effort) {
    println!(
        "\nMany crash at once: until the last live peer holds all of them dead, and until its view is\n\
         without them (detectors that agree on views). The most senior peer survives: half decides with it.\n\n\
         | detector | n | dead | loss | times | missed | detect p50 / p99 / max, ms | not evicted \
         | evict p50 / p99 / max, ms | live peers held dead |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    for Measured { row, crashes, .. } in rows::measure(&rows::correlated(effort)) {
        println!(
            "| {} | {} | {} % | {} % | {} | {} | {} | {} | {} | {} |",
            row.contestant.name(),
            row.setting.peers,
            row.dead_percent,
            row.setting.loss_permille / 10,
            crashes.detected.len() as u64 + crashes.missed,
            crashes.missed,
            spread(&crashes.detected),
            crashes.kept,
            if crashes.evicted.is_empty() { "-".to_owned() } else { spread(&crashes.evicted) },
            crashes.false_verdicts,
        );
    }
}

fn spread(spans: &[Duration]) -> String {
    let at = |permille| {
        let span = Figures::permille(spans, permille);
        span.map_or("-".to_owned(), |span| span.as_millis().to_string())
    };
    format!("{} / {} / {}", at(500), at(990), at(1_000))
}

/// Per hour; with none seen, what three times as many hours would exclude.
fn rate(count: u64, hours: f64) -> String {
    if count == 0 {
        return format!("0 (< {:.2})", 3.0 / hours);
    }
    format!("{:.2}", count as f64 / hours)
}

fn traffic(quiet: &Figures) -> (String, String) {
    let seconds = quiet.lived.as_secs_f64();
    let per = |count: u64| format!("{:.0}", count as f64 / seconds);
    (per(quiet.messages), per(quiet.bytes))
}
