//! Removes one rule at a time and sees who notices (testing.md section 8).
//!
//! One build under `--cfg formic_ablate` serves all mutants: `FORMIC_ABLATE` names the missing rule when
//! a test or the simulator starts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::rules::{self, Killer, Rule};

/// Seeds that a missing rule may stay unnoticed for.
const SEEDS: u64 = 10_000;
/// A mutant that runs longer hangs: that is noticed as well.
const WATCHDOG: Duration = Duration::from_secs(900);
const TARGET: &str = "target/mutants";

/// What was built once for all mutants.
struct Built {
    /// Test programs by crate.
    tests: BTreeMap<String, PathBuf>,
    /// This program itself, for its simulator.
    xtask: PathBuf,
}

/// How one killer did.
enum Verdict {
    /// By which test or oracle, after how many seeds.
    Caught {
        by: String,
        seeds: Option<u64>,
    },
    Survived,
}

pub(crate) fn run(crates: &[&str]) -> Result<(), String> {
    let rules = rules::chosen(crates)?;
    let built = build(&rules)?;
    for killer in baselines(&rules) {
        println!("clean: {} {}", killer.0, killer.1.name());
        if let Verdict::Caught { by, .. } = kill(&built, (&killer.0, None), &killer.1)? {
            return Err(format!("nothing is removed, and still {by} fails: see {TARGET}/log"));
        }
    }
    println!("\n| rule removed | unit tests | model | simulator | seeds until caught |");
    println!("|---|---|---|---|---|");
    let mut survivors = Vec::new();
    for rule in &rules {
        survivors.extend(judge(&built, rule)?);
    }
    if survivors.is_empty() {
        return Ok(());
    }
    Err(format!("not noticed: {}", survivors.join(", ")))
}

/// Each crate's killers, once.
fn baselines(rules: &[Rule]) -> Vec<(String, Killer)> {
    let pairs = rules.iter().flat_map(|rule| {
        rule.killers.iter().map(|killer| (rule.package().to_owned(), killer.clone()))
    });
    pairs.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Prints the row of one rule; returns what should have noticed and did not.
fn judge(built: &Built, rule: &Rule) -> Result<Vec<String>, String> {
    let mut cells = BTreeMap::new();
    let (mut seeds_cell, mut survived) = ("-".to_owned(), Vec::new());
    for killer in &rule.killers {
        let cell = match kill(built, (rule.package(), Some(&rule.name)), killer)? {
            Verdict::Caught { by, seeds } => {
                seeds_cell = seeds.map_or(seeds_cell, |seeds| seeds.to_string());
                by
            }
            Verdict::Survived => {
                survived.push(format!("{} by {}", rule.name, killer.name()));
                "SURVIVED".to_owned()
            }
        };
        cells.insert(killer.column(), cell);
    }
    let cell = |column: usize| cells.get(&column).map_or("-", String::as_str);
    println!("| `{}` | {} | {} | {} | {seeds_cell} |", rule.name, cell(0), cell(1), cell(2));
    Ok(survived)
}

fn kill(
    built: &Built,
    (package, rule): (&str, Option<&str>),
    killer: &Killer,
) -> Result<Verdict, String> {
    let program = match killer {
        Killer::Sim(_) => Some(&built.xtask),
        Killer::Tests | Killer::Model => built.tests.get(package),
    };
    let program = program.ok_or_else(|| format!("{package} has no test program"))?;
    let mut command = Command::new(program);
    let seeds = SEEDS.to_string();
    match killer {
        Killer::Tests => command.args(["--skip", "::model::"]),
        Killer::Model => command.arg("::model::"),
        Killer::Sim(profile) => command.args(["sim", profile, "--seeds", &seeds, "--stop"]),
    };
    command.env_remove("FORMIC_ABLATE");
    // What fails here is meant to: no regression file in the tree.
    command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1");
    command.envs(rule.map(|rule| ("FORMIC_ABLATE", rule)));
    let name = format!("{}-{}", rule.unwrap_or(package), killer.name()).replace('/', "-");
    let log = Path::new(TARGET).join("log").join(name);
    let passed = watched(&mut command, &log)?;
    let text = fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    match (passed, killer) {
        (Some(true), _) if ran(&text, killer) => Ok(Verdict::Survived),
        (Some(true), _) => Err(format!("{package} has no {}", killer.name())),
        (None, _) => {
            let by = format!("hangs for {} s", WATCHDOG.as_secs());
            Ok(Verdict::Caught { by, seeds: None })
        }
        (Some(false), Killer::Sim(_)) => caught_by_sim(&text)
            .ok_or_else(|| format!("the simulator failed otherwise: {}", log.display())),
        (Some(false), _) => failed_test(&text)
            .ok_or_else(|| format!("the tests failed otherwise: {}", log.display())),
    }
}

/// A filter that matches nothing passes as well; that is no survival.
fn ran(text: &str, killer: &Killer) -> bool {
    matches!(killer, Killer::Sim(_)) || !text.contains("running 0 tests")
}

fn failed_test(text: &str) -> Option<Verdict> {
    let name = |line: &str| {
        let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
        Some(name.trim_start_matches("tests::").to_owned())
    };
    let failed: Vec<String> = text.lines().filter_map(name).collect();
    let by = match failed.as_slice() {
        [] => return None,
        [only] => format!("`{only}`"),
        [first, rest @ ..] => format!("`{first}` and {} more", rest.len()),
    };
    Some(Verdict::Caught { by, seeds: None })
}

fn caught_by_sim(text: &str) -> Option<Verdict> {
    let line = text.lines().find_map(|line| line.strip_prefix("caught after "))?;
    let (seeds, oracle) = line.split_once(" seeds by ")?;
    Some(Verdict::Caught { by: format!("`{oracle}`"), seeds: seeds.parse().ok() })
}

/// Runs it with all output in a file; `None` if it had to be stopped.
#[expect(clippy::disallowed_methods, reason = "no runtime here: one thread waits for one program")]
fn watched(command: &mut Command, log: &Path) -> Result<Option<bool>, String> {
    let text = |error: std::io::Error| format!("{}: {error}", log.display());
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).map_err(text)?;
    }
    let out = File::create(log).map_err(text)?;
    let both = out.try_clone().map_err(text)?;
    let mut child = command.stdin(Stdio::null()).stdout(out).stderr(both).spawn().map_err(text)?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(text)? {
            return Ok(Some(status.success()));
        }
        if start.elapsed() > WATCHDOG {
            child.kill().map_err(text)?;
            child.wait().map_err(text)?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn build(rules: &[Rule]) -> Result<Built, String> {
    let packages: BTreeSet<&str> = rules.iter().map(Rule::package).collect();
    let mut tests = BTreeMap::new();
    for package in packages {
        let name = format!("formic-{package}");
        let made = cargo(&["test", "-p", &name, "--lib", "--no-run"])?;
        let program = made.first().ok_or_else(|| format!("{name}: no test program"))?;
        tests.insert(package.to_owned(), program.clone());
    }
    let made = cargo(&["build", "-p", "xtask"])?;
    let xtask = made.first().ok_or("xtask: no program")?.clone();
    Ok(Built { tests, xtask })
}

/// Builds with mutants; returns the programs.
fn cargo(words: &[&str]) -> Result<Vec<PathBuf>, String> {
    println!("build: cargo {} (--cfg formic_ablate)", words.join(" "));
    let output = Command::new("cargo")
        .args(words)
        .args(["--locked", "--target-dir", TARGET, "--message-format=json"])
        .env("RUSTFLAGS", "--cfg formic_ablate")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo {} failed", words.join(" ")));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let program = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    };
    Ok(text.lines().filter_map(program).collect())
}
