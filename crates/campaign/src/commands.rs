use std::{fs, path::Path};

use formic_core::Time;
use formic_sim::{
    Detail, Violation, Watch, completion, consensus,
    node::{self, Kinds, Plan, Scenario},
};

use crate::{Options, options::number, print, run, run::guarded};

/// Where plans of failures that were found are kept.
const SCHEDULES: &str = "tests/schedules";
/// Plans that one shrinking runs, unless told otherwise.
const SHRINK_RUNS: usize = 2_000;

/// How the command is used.
pub const USAGE: &str = "\
  sim [node|completion|consensus] [--seeds N] [--first S | --fresh] [--jobs J] [--faults LIST] [--json]
                           run N seeds (default 2000) of the simulator from seed S (default 1)
  sim shrinking|split [--seeds N] [--first S] [--jobs J] [--json]
                           run a scenario: ten peers lose eight one by one; are cut 6|4 or 5|5 for 10 s
  sim replay SEED|SCENARIO:SEED|FILE.plan [--until SECONDS] [--peer K] [--trace brief|full]
                           run a seed or a plan of the node profile again and print what happened
  sim replay completion|consensus SEED [LINES]
                           the same for these profiles
  sim shrink SEED|FILE.plan [--runs N] [--name NAME]
                           make a failing plan small and write it to tests/schedules/NAME.plan
  sim plan SEED|SCENARIO:SEED
                           print the plan of a seed
  sim schedules            run all plans in tests/schedules again
";

/// Why a command did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The words mean nothing. The user's fault.
    #[error("sim: {what}")]
    Usage {
        /// What is wrong with them.
        what: String,
    },
    /// A file cannot be read or written, or is no plan.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
    /// A claim does not hold.
    #[error("{what}")]
    Violated {
        /// Which, where.
        what: String,
    },
}

impl Failure {
    pub(crate) const fn usage(what: String) -> Self {
        Self::Usage { what }
    }

    fn file(path: &Path, why: impl ToString) -> Self {
        Self::File { path: path.display().to_string(), why: why.to_string() }
    }

    fn violated(what: impl ToString) -> Self {
        Self::Violated { what: what.to_string() }
    }
}

/// Runs the command that these words say.
///
/// # Errors
/// It is no command, or a claim does not hold.
pub fn sim(words: &[&str]) -> Result<(), Failure> {
    match words {
        ["replay", "completion", seed] => replay_completion(seed, "80"),
        ["replay", "completion", seed, lines] => replay_completion(seed, lines),
        ["replay", "consensus", seed] => replay_consensus(seed, "80"),
        ["replay", "consensus", seed, lines] => replay_consensus(seed, lines),
        ["replay", "node", rest @ ..] | ["replay", rest @ ..] => replay(rest),
        ["shrink", rest @ ..] => shrink(rest),
        ["plan", seed] => {
            print!("{}", plan_of(seed)?);
            Ok(())
        }
        ["schedules"] => schedules(Path::new(SCHEDULES)),
        _ => campaign(&Options::parse(words)?),
    }
}

fn campaign(options: &Options) -> Result<(), Failure> {
    if !options.json {
        println!("first seed {}", options.first);
    }
    let outcome = run(options);
    if options.json {
        println!("{:#}", print::json(options, &outcome));
    } else {
        println!("{}", print::text(options, &outcome));
    }
    if outcome.holds() {
        return Ok(());
    }
    if options.until == crate::Until::Violation
        && let Some(first) = outcome.violations.first()
    {
        let seeds = first.seed.saturating_sub(options.first) + 1;
        println!("caught after {seeds} seeds by {}", first.oracle);
    }
    let (violations, missed) = (outcome.violations.len(), outcome.missed.len());
    Err(Failure::violated(format!("{violations} seeds violate a claim, {missed} marks are missed")))
}

/// A plan from a file, of a seed, or of a scenario's seed: `shrinking:7`.
fn plan_of(text: &str) -> Result<Plan, Failure> {
    if let Some((name, seed)) = text.split_once(':')
        && let Some(scenario) = Scenario::named(name)
    {
        return Ok(scenario.plan(number("SEED", seed)?));
    }
    if let Ok(seed) = text.parse() {
        return Ok(Plan::of(seed, &Kinds::all()));
    }
    read_plan(Path::new(text))
}

fn read_plan(path: &Path) -> Result<Plan, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
    text.parse().map_err(|error: node::BadPlan| Failure::file(path, error))
}

fn replay(words: &[&str]) -> Result<(), Failure> {
    let [what, flags @ ..] = words else {
        return Err(Failure::usage("replay takes a seed or a file".to_owned()));
    };
    let mut watch = Watch { detail: Detail::Brief, lines: usize::MAX, peer: None, until: None };
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let value = flags.next().ok_or_else(|| Failure::usage(format!("{flag} takes a value")))?;
        match (*flag, *value) {
            ("--until", seconds) => watch.until = Some(moment(seconds)?),
            ("--peer", peer) => watch.peer = Some(number(flag, peer)?),
            ("--trace", "brief") => watch.detail = Detail::Brief,
            ("--trace", "full") => watch.detail = Detail::Full,
            ("--trace", other) => {
                return Err(Failure::usage(format!("--trace takes brief or full, not {other:?}")));
            }
            _ => return Err(Failure::usage(format!("unknown flag {flag:?}"))),
        }
    }
    let plan = plan_of(what)?;
    match guarded(plan.seed, || node::replay(&plan, watch)) {
        Ok((report, digest)) => {
            report.trace.iter().for_each(|line| println!("{line}"));
            println!("holds, {} events, trace {}", report.steps, digest.short());
            if report.lost_homes > 0 {
                println!("{} jobs lost a majority of their home group for good", report.lost_homes);
            }
            Ok(())
        }
        Err(violation) => {
            violation.trace.iter().for_each(|line| println!("{line}"));
            println!("{:?}  VIOLATION {}: {}", violation.at, violation.oracle, violation.what);
            Err(Failure::violated(format!("{what} violates {}", violation.oracle)))
        }
    }
}

fn moment(text: &str) -> Result<Time, Failure> {
    let seconds = text.trim_end_matches('s').parse::<f64>().ok();
    let seconds = seconds.filter(|seconds| (0.0..1e6).contains(seconds));
    let span = seconds.map(core::time::Duration::from_secs_f64);
    span.map(|span| Time::ZERO + span)
        .ok_or_else(|| Failure::usage(format!("--until takes seconds, not {text:?}")))
}

fn replay_completion(seed: &str, lines: &str) -> Result<(), Failure> {
    let (seed, lines) = (number("SEED", seed)?, number("LINES", lines)?);
    match guarded(seed, || completion::replay(seed, lines)) {
        Ok(report) => {
            println!("seed {seed} holds\n{report:#?}");
            Ok(())
        }
        Err(violation) => Err(Failure::violated(violation)),
    }
}

fn replay_consensus(seed: &str, lines: &str) -> Result<(), Failure> {
    let (seed, lines) = (number("SEED", seed)?, number("LINES", lines)?);
    match guarded(seed, || consensus::replay(seed, lines)) {
        Ok(report) => {
            println!("seed {seed} holds\n{report:#?}");
            Ok(())
        }
        Err(violation) => Err(Failure::violated(violation)),
    }
}

fn shrink(words: &[&str]) -> Result<(), Failure> {
    let [what, flags @ ..] = words else {
        return Err(Failure::usage("shrink takes a seed or a file".to_owned()));
    };
    let (mut runs, mut name) = (SHRINK_RUNS, None);
    for pair in flags.chunks(2) {
        match pair {
            ["--runs", value] => runs = number("--runs", value)?,
            ["--name", value] => name = Some((*value).to_owned()),
            _ => return Err(Failure::usage(format!("unknown flag {:?}", pair.first()))),
        }
    }
    let plan = plan_of(what)?;
    let mut violates =
        |plan: &Plan| -> Option<Violation> { guarded(plan.seed, || node::run(plan)).err() };
    let Some(found) = node::shrink(&plan, runs, &mut violates) else {
        println!("{what} violates nothing");
        return Ok(());
    };
    let node::Shrunk { plan: small, violation, runs } = found;
    let started = small.peers.iter().filter(|peer| peer.start.is_some()).count();
    println!("{} faults, {started} peers, after {runs} runs", small.faults.len());
    let name = name.unwrap_or_else(|| format!("{}-{}", violation.oracle, plan.seed));
    let path = Path::new(SCHEDULES).join(format!("{name}.plan"));
    let text = format!("# violated {}: {}\n{small}", violation.oracle, violation.what);
    fs::create_dir_all(SCHEDULES).map_err(|error| Failure::file(&path, error))?;
    fs::write(&path, text).map_err(|error| Failure::file(&path, error))?;
    println!("wrote {}; cargo xtask sim schedules runs it again", path.display());
    Err(Failure::violated(violation))
}

/// Every failure that was ever found, again.
pub(crate) fn schedules(folder: &Path) -> Result<(), Failure> {
    let entries = fs::read_dir(folder).map_err(|error| Failure::file(folder, error))?;
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "plan"));
    paths.sort();
    let mut broken = 0;
    for path in &paths {
        let plan = read_plan(path)?;
        if let Err(violation) = guarded(plan.seed, || node::run(&plan)) {
            println!("{}: {violation}", path.display());
            broken += 1;
        }
    }
    println!("schedules: {} of {} hold", paths.len() - broken, paths.len());
    if broken > 0 {
        return Err(Failure::violated(format!("{broken} schedules violate a claim again")));
    }
    Ok(())
}
