//! Programs of the package `formic-benches`, optimised.

use std::process::Command;

/// Failure detectors beside each other; `words` are the program's own.
pub(crate) fn detect(words: &[&str]) -> Result<(), String> {
    let status = Command::new("cargo")
        .args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "formic-benches",
            "--bin",
            "detect",
            "--",
        ])
        .args(words)
        .status()
        .map_err(|error| format!("bench: cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("bench detect ended with {status}")) }
}
