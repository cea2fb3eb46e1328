//! Comparisons, measured by running them: nothing here is typed in.

use std::{fmt::Write, process::Command, time::Instant};

use formic_sim::comparators::{Cost, Kind, costs, fault_matrix};

/// Seeds per cell of the fault matrix, unless asked otherwise.
const SEEDS: u64 = 200;

pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let seeds = match words {
        ["consensus", rest @ ..] => return program("consensus", rest),
        ["detect", rest @ ..] => return program("detect", rest),
        ["messages", rest @ ..] => return program("messages", rest),
        ["routing", rest @ ..] => return program("routing", rest),
        ["trails", rest @ ..] => return crate::trails::run(rest),
        ["completion"] => SEEDS,
        ["completion", "--seeds", count] => {
            count.parse().map_err(|_| format!("--seeds takes a whole number, not {count:?}"))?
        }
        _ => return Err(format!("bench: unknown words {words:?}; see cargo xtask")),
    };
    let start = Instant::now();
    let refused = |error| format!("a peer refused something: {error}");
    println!("{}", cost_table(&costs().map_err(refused)?));
    println!("{}", fault_table(seeds)?);
    println!("{:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// A program of its own in `benches`; `words` are that program's.
pub(crate) fn program(name: &str, words: &[&str]) -> Result<(), String> {
    let run = ["run", "--quiet", "--release", "--package", "formic-benches", "--bin", name, "--"];
    let status = Command::new("cargo")
        .args(run)
        .args(words)
        .status()
        .map_err(|error| format!("{name}: cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} ended with {status}")) }
}

/// A ratio with two digits, by integers.
fn ratio(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let hundredths = (u128::from(part) * 200 + u128::from(whole)) / (u128::from(whole) * 2);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn cost_table(rows: &[Cost]) -> String {
    let mut table = "Without faults; bodies of 0 to 10 one-way delays; latency is the median of nine \
                     seeds from the end of the last body to the announcement. `formic` announces when \
                     the result is stored at a majority of three, then seals, proves and tells all \
                     (`in all`).\n\n\
                     | workload | peers | algorithm | control / work | in all / work | latency, one-way delays | wrong |\n\
                     |---|---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {}.{:02} | {} |",
            row.workload.name(),
            row.peers,
            row.algorithm.name(),
            ratio(row.control, row.work),
            ratio(row.in_all, row.work),
            row.latency / 1_000,
            row.latency % 1_000 / 10,
            row.wrong,
        );
    }
    table
}

fn fault_table(seeds: u64) -> Result<String, String> {
    let mut table = format!(
        "One fault per run, {seeds} seeds per cell, five peers: runs that announce early / never / \
         right.\n\n| algorithm |"
    );
    for kind in Kind::ALL {
        let _ = write!(table, " {} |", kind.name());
    }
    table += "\n|---|";
    table += &"---|".repeat(Kind::ALL.len());
    table.push('\n');
    for (algorithm, tallies) in fault_matrix(seeds).map_err(|error| error.to_string())? {
        let _ = write!(table, "| {} |", algorithm.name());
        for tally in tallies {
            let _ = write!(table, " {} / {} / {} |", tally.early, tally.never, tally.right);
        }
        table.push('\n');
    }
    Ok(table)
}
