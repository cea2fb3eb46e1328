//! The conformance suite as a table: cases down, transports across.
//!
//! It runs the suite's tests, so what it shows is what `cargo test` finds.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

const TEST: &[&str] = &["test", "-p", "formic-tests", "--test", "shell", "--locked", "conformance"];

/// A test of the suite's own list, not of a transport.
const NO_CASE: &str = "every_case_of_the_suite_is_run";

/// What a case said, by case and transport.
type Table = BTreeMap<(String, String), String>;

pub(crate) fn run() -> Result<(), String> {
    let output = Command::new("cargo")
        .args(TEST)
        .output()
        .map_err(|error| format!("cargo {}: {error}", TEST.join(" ")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let table = parse(&text);
    if table.is_empty() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("no case ran: cargo {}\n{errors}", TEST.join(" ")));
    }
    print!("{}", render(&table));
    let failed = table.values().filter(|outcome| *outcome != "ok").count();
    println!("\n{} runs, {failed} of them failed", table.len());
    if failed > 0 || !output.status.success() {
        return Err(format!("{failed} cases fail: cargo {}", TEST.join(" ")));
    }
    Ok(())
}

/// Reads `test conformance::TRANSPORT::CASE ... OUTCOME`.
fn parse(text: &str) -> Table {
    let line = |line: &str| {
        let (path, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
        let (transport, case) = path.strip_prefix("conformance::")?.split_once("::")?;
        Some(((case.to_owned(), transport.to_owned()), outcome.trim().to_owned()))
    };
    let runs = text.lines().filter_map(line);
    runs.filter(|((case, _), outcome)| case != NO_CASE || outcome != "ok").collect()
}

fn render(table: &Table) -> String {
    let cases: BTreeSet<&str> = table.keys().map(|(case, _)| case.as_str()).collect();
    let transports: BTreeSet<&str> = table.keys().map(|(_, of)| of.as_str()).collect();
    let widest = cases.iter().map(|case| case.len()).max().unwrap_or_default();
    let mut lines = format!("{:widest$}", "");
    let cell = |transport: &str| transport.len().max(6) + 2;
    for transport in &transports {
        lines += &format!("{transport:>0$}", cell(transport));
    }
    for case in cases {
        lines += &format!("\n{case:widest$}");
        for transport in &transports {
            let outcome = table.get(&(case.to_owned(), (*transport).to_owned()));
            let outcome = outcome.map_or("-", String::as_str);
            lines += &format!("{outcome:>0$}", cell(transport));
        }
    }
    lines + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_cell_per_run() {
        let text = "running 3 tests\ntest conformance::memory::a ... ok\n\
                    test conformance::quic::a ... FAILED\ntest conformance::quic::bb ... ok\n\
                    test other::c ... ok\ntest conformance::quic::every_case_of_the_suite_is_run ... ok\n";
        let lines = ["    memory    quic", "a       ok  FAILED", "bb       -      ok", ""];
        assert_eq!(render(&parse(text)), lines.join("\n"));
    }
}
