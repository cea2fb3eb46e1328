//! From a verdict to a report, a certificate and an exit code.

use std::{fs, path::Path};

use formic::{PlanResult, ResultError};
use formic_completion::Verdict;
use serde_json::Value;

use crate::{
    certificate,
    exit::{Exit, Stop},
    output,
    report::Report,
};

/// 0 if every task ended well, else 1.
pub(crate) fn exit_of(verdict: &Verdict) -> Exit {
    match PlanResult::of(&verdict.decree.outcome) {
        Ok(result) if result.is_ok() => Exit::Ok,
        _ => Exit::TaskFailed,
    }
}

/// What the verdict says; the log's figures are added to it.
pub(crate) fn report(exit: Exit, verdict: Option<&Verdict>) -> Report {
    let mut report = Report {
        verdict: exit.verdict().to_owned(),
        ok: exit == Exit::Ok,
        quiescent: verdict.is_some(),
        topology: "mesh".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Report::default()
    };
    let Some(verdict) = verdict else { return report };
    let statement = &verdict.certificate.statement;
    report.job = Some(statement.job.to_string());
    report.excluded = statement.excluded.iter().map(ToString::to_string).collect();
    let tally = verdict.decree.tally;
    report.tasks.total = Some(tally.tasks);
    report.tasks.ok = Some(tally.ok);
    report.tasks.failed = Some(tally.failed);
    report.tasks.executions = Some(tally.executions);
    match PlanResult::of(&verdict.decree.outcome) {
        Ok(result) => results(&mut report, result),
        Err(ResultError::NotOk { word, reason }) => report.verdict = format!("{word}: {reason}"),
        Err(error) => report.verdict = error.to_string(),
    }
    report
}

fn results(report: &mut Report, result: PlanResult) {
    for (name, task) in result.tasks {
        if task.outcome != "ok" {
            let error = task.error.unwrap_or_else(|| task.outcome.clone());
            report.errors.insert(name.clone(), error);
        }
        let digest = task.digest.map(|digest| serde_json::json!({"sha256": digest.to_string()}));
        report.result.insert(name, task.value.or(digest).unwrap_or(Value::Null));
    }
}

/// Writes the proof. Its path as the report shows it.
///
/// # Errors
/// Exit 2: the file cannot be written.
pub(crate) fn write_certificate(path: &Path, verdict: &Verdict) -> Result<String, Stop> {
    let text = certificate::write(&verdict.certificate);
    fs::write(path, text).map_err(|error| Stop::file("write", path, &error))?;
    Ok(path.display().to_string())
}

/// How the user wants the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Print {
    /// One screen for people.
    #[default]
    Screen,
    /// One JSON object.
    Json,
    /// The results alone.
    Quiet,
}

impl Print {
    /// Of the flags `--json` and `--quiet`; the first wins.
    pub(crate) const fn of(flags: (bool, bool)) -> Self {
        match flags {
            (true, _) => Self::Json,
            (false, true) => Self::Quiet,
            (false, false) => Self::Screen,
        }
    }

    pub(crate) fn show(self, report: &Report) {
        match self {
            Self::Screen => output::data(&report.screen()),
            Self::Json => output::data(&report.json()),
            Self::Quiet => {
                for (name, value) in &report.result {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    output::data(&format!("{name}: {}", text.trim_end()));
                }
            }
        }
    }
}
