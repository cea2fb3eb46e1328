//! `formic verify`: what a certificate proves, and what it does not.

use core::fmt::Write as _;

use formic_completion::Certificate;
use formic_core::Digest;

use crate::{
    args::VerifyArgs,
    certificate::{self, Unverified},
    decision,
    exit::{Exit, Stop},
    output,
    plan::CheckedPlan,
    report::thousands,
};

pub(crate) fn run(args: &VerifyArgs) -> Result<Exit, Stop> {
    let path = &args.certificate;
    let bytes = std::fs::read(path).map_err(|error| Stop::file("read", path, &error))?;
    if decision::is_decision(&bytes) {
        return run_decision(args, &bytes);
    }
    if args.electorate.is_some() {
        let message = "--electorate is about decisions of voters, this is a job's certificate";
        return Err(Stop::usage(message));
    }
    let given = args.input.iter().cloned().collect();
    let plan = match &args.plan {
        Some(path) => Some(CheckedPlan::load(path, &given)?.digest),
        None => None,
    };
    let verified = certificate::read(&bytes).and_then(|certificate| {
        certificate::verify(&certificate, &args.peer)?;
        is_about(&certificate, plan)?;
        Ok(certificate)
    });
    match verified {
        Ok(certificate) => {
            output::data(&explain(&certificate, args));
            Ok(Exit::Ok)
        }
        Err(reason) => {
            let message = format!("{} does not verify: {reason}", path.display());
            Err(Stop::new(Exit::BadCertificate, message))
        }
    }
}

fn run_decision(args: &VerifyArgs, bytes: &[u8]) -> Result<Exit, Stop> {
    let path = args.certificate.display();
    if !args.peer.is_empty() || args.plan.is_some() {
        let message = "--peer and --plan are about certificates of jobs, this is a decision: use --electorate";
        return Err(Stop::usage(message));
    }
    let (decision, judgement) = decision::read(bytes, args.electorate).map_err(|reason| {
        Stop::new(Exit::BadCertificate, format!("{path} does not verify: {reason}"))
    })?;
    let mut out = format!("{path} verifies\n");
    let about = [
        ("job", decision.job.to_string()),
        ("task", format!("{} ({})", decision.name, decision.task)),
    ];
    for (name, text) in about.into_iter().chain(decision::explain(&judgement)) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {name:<10} {text}");
    }
    out.push_str(
        "It proves: a quorum of these voters signed that these ballots were cast about this task's result,\n\
         with this outcome. It does not prove: that the work is good, or that the voters are independent.\n",
    );
    if args.electorate.is_none() {
        out.push_str(
            "unpinned: the file itself says who votes. Pin it with --electorate DIGEST.\n",
        );
    }
    output::data(&out);
    Ok(Exit::Ok)
}

fn is_about(certificate: &Certificate, plan: Option<Digest>) -> Result<(), Unverified> {
    let found = certificate.statement.plan;
    match plan {
        Some(expected) if expected != found => Err(Unverified::OtherPlan { found, expected }),
        _ => Ok(()),
    }
}

fn explain(certificate: &Certificate, args: &VerifyArgs) -> String {
    let statement = &certificate.statement;
    let tally = &statement.tally;
    let signers: Vec<String> =
        certificate.attestations.iter().map(|it| it.signer.to_string()).collect();
    let excluded: Vec<String> = statement.excluded.iter().map(ToString::to_string).collect();
    let mut out = format!("{} verifies\n", args.certificate.display());
    let mut row = |name: &str, text: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {name:<10} {text}");
    };
    row("job", &statement.job.to_string());
    row("plan", &format!("SHA-256 {}", statement.plan));
    row("result", &format!("SHA-256 {}", statement.result));
    let counts = [tally.tasks, tally.ok, tally.failed, tally.executions].map(thousands);
    let [tasks, ok, failed, executions] = counts;
    row("tasks", &format!("{tasks}: {ok} ok, {failed} failed; {executions} executions"));
    let quorum = format!("{} of {} home peers", signers.len(), statement.home.len());
    row("signed by", &format!("{quorum}: {}", signers.join(", ")));
    let sealed = format!("{} peers", statement.sealed.len());
    let excluded = if excluded.is_empty() { "none".to_owned() } else { excluded.join(", ") };
    row("sealed", &format!("{sealed}; excluded as dead: {excluded}"));
    out.push_str(
        "It proves: these home peers signed that the job is complete with this result, that each task\n\
         it spawned has an outcome, and that every sealed peer had ended its part.\n\
         It does not prove: that the agents did their work well, what excluded peers did before they\n\
         died, or that the signers are honest.\n",
    );
    out.push_str(if args.peer.is_empty() {
        "unpinned: the file itself says who the home peers are. Pin them with --peer PEERID for each.\n"
    } else {
        "pinned: all home peers are among those you named.\n"
    });
    out
}
