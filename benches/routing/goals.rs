//! Each goal of pheromones.md 1 and 12.4, with its verdict: a miss is printed as one.

use crate::{
    Plan,
    figures::{Mean, adaptation},
    tables::Measured,
};

/// PASS if the mean meets the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Miss,
}

/// One judged claim.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    pub(crate) claim: String,
    pub(crate) value: f64,
    /// Half of a 95 % interval; none where there is no mean over seeds.
    pub(crate) half: Option<f64>,
    pub(crate) bound: Bound,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub(crate) fn verdict(&self) -> Verdict {
        let met = match self.bound {
            Bound::AtLeast(bound) => self.value >= bound,
            Bound::AtMost(bound) => self.value <= bound,
        };
        if met { Verdict::Pass } else { Verdict::Miss }
    }
}

struct Judge<'a> {
    rows: &'a [Measured],
    goals: Vec<Goal>,
}

impl<'a> Judge<'a> {
    fn find(&self, table: &str, name: &str, (peers, load): (usize, u32)) -> Option<&'a Measured> {
        self.rows.iter().find(|it| {
            let here = (it.scenario.peers, it.scenario.load) == (peers, load);
            it.table == table && it.contestant == name && here
        })
    }

    /// Of the loads at which it was run, the one where liars got most.
    fn named(&self, scenario: &str, name: &str, peers: usize) -> Option<&'a Measured> {
        let here = self.rows.iter().filter(|it| {
            it.scenario.name == scenario && it.contestant == name && it.scenario.peers == peers
        });
        let share = |it: &Measured| it.mean(|row| row.share).mean;
        here.max_by(|a, b| share(a).total_cmp(&share(b)))
    }

    fn mean(&mut self, claim: String, mean: Mean, bound: Bound) {
        let half = Some(mean.half);
        self.goals.push(Goal { claim, value: mean.mean, half, bound });
    }

    fn value(&mut self, claim: String, value: f64, bound: Bound) {
        self.goals.push(Goal { claim, value, half: None, bound });
    }
}

const FORMIC: &str = "formic";
const ADMITTING: &str = "formic, max wait 600 ms";

pub(crate) fn all(rows: &[Measured]) -> Vec<Goal> {
    let mut judge = Judge { rows, goals: Vec::new() };
    service(&mut judge);
    overload(&mut judge);
    liars(&mut judge);
    parts(&mut judge);
    judge.goals
}

fn service(judge: &mut Judge<'_>) {
    let at = |peers| (peers, 70);
    for (peers, slo) in [(10, 90.0), (100, 93.0)] {
        let Some(ours) = judge.find("loads", FORMIC, at(peers)) else { continue };
        let claim = format!("{peers} peers, 70 %: SLO %");
        judge.mean(claim, ours.mean(|row| row.slo), Bound::AtLeast(slo));
        let p99 = ours.mean(|row| row.p99).mean;
        if peers == 10 {
            if let Some(oracle) = judge.find("loads", "oracle", at(peers)) {
                let ratio = p99 / oracle.mean(|row| row.p99).mean;
                judge.value(
                    "10 peers, 70 %: p99 over oracle's".to_owned(),
                    ratio,
                    Bound::AtMost(2.6),
                );
            }
            if let Some(seconds) = adaptation(&ours.rows) {
                let claim = "10 peers, 70 %: s until settled after the swap".to_owned();
                judge.value(claim, seconds as f64, Bound::AtMost(15.0));
            }
            let messages = ours.mean(|row| row.probes);
            let claim = "10 peers, 70 %: probe messages a task".to_owned();
            judge.mean(claim, messages, Bound::AtMost(12.5));
        } else {
            tails(judge, p99);
        }
    }
    let Some(ours) = judge.find("loads", FORMIC, (10, 70)) else { return };
    let best = judge
        .rows
        .iter()
        .filter(|it| it.table == "loads" && it.scenario == ours.scenario)
        .filter(|it| !it.contestant.starts_with(FORMIC) && it.contestant != "oracle")
        .map(|it| it.mean(|row| row.slo).mean)
        .fold(0.0, f64::max);
    let lead = ours.mean(|row| row.slo).mean - best;
    let claim = "10 peers, 70 %: points of SLO above the best rival".to_owned();
    judge.value(claim, lead, Bound::AtLeast(0.0));
}

/// A hundred peers, 70 %: rivals' p99 over ours.
fn tails(judge: &mut Judge<'_>, p99: f64) {
    for rival in ["p2c", "Prequal-like"] {
        let Some(theirs) = judge.find("loads", rival, (100, 70)) else { continue };
        let ratio = theirs.mean(|row| row.p99).mean / p99;
        let claim = format!("100 peers, 70 %: p99 of {rival} over ours");
        judge.value(claim, ratio, Bound::AtLeast(10.0));
    }
}

fn overload(judge: &mut Judge<'_>) {
    for (peers, slo) in [(10, 83.0), (100, 80.0)] {
        let Some(ours) = judge.find("loads", ADMITTING, (peers, 90)) else { continue };
        let claim = format!("{peers} peers, 90 %, max wait 600 ms: SLO %");
        judge.mean(claim, ours.mean(|row| row.slo), Bound::AtLeast(slo));
        let claim = format!("{peers} peers, 90 %, max wait 600 ms: correct %");
        judge.mean(claim, ours.mean(|row| row.correct), Bound::AtLeast(88.0));
    }
}

fn liars(judge: &mut Judge<'_>) {
    // Fair: one of ten, one or ten of a hundred.
    for (scenario, peers, fair) in [
        ("main", 10, 10.0),
        ("slow liar", 10, 10.0),
        ("verified 10 %", 10, 10.0),
        ("verified 2 %", 10, 10.0),
        ("praise and slander", 10, 10.0),
        ("main", 100, 1.0),
        ("ten colluders", 100, 10.0),
        ("ten praise and slander", 100, 10.0),
    ] {
        let Some(ours) = judge.named(scenario, FORMIC, peers) else { continue };
        let claim = format!("{peers} peers, {scenario}, worst load: liars' share % (1.5 x fair)");
        judge.mean(claim, ours.mean(|row| row.share), Bound::AtMost(1.5 * fair));
    }
    for (scenario, peers) in [("instant garbage, load 0", 10), ("ten colluders", 100)] {
        let twin = judge.named(scenario, "naive twin, believes all", peers);
        let Some(twin) = twin else { continue };
        let claim =
            format!("{peers} peers, {scenario}: the naive twin's liars' share % (it must fail)");
        judge.mean(claim, twin.mean(|row| row.share), Bound::AtLeast(15.0));
    }
}

/// 12.4: a part that is worth less than its gate is decoration.
fn parts(judge: &mut Judge<'_>) {
    for load in [70, 90] {
        let at = (10, load);
        let Some(base) = judge.find("ablations", FORMIC, at) else { continue };
        for (name, gate) in [("no trails in the draw", 8.0), ("affinity 0", 8.0)] {
            let Some(without) = judge.find("ablations", name, at) else { continue };
            let lost = paired(base, without, |row| row.slo);
            judge.mean(format!("{name}, {load} %: points of SLO lost"), lost, Bound::AtLeast(gate));
        }
        let Some(without) = judge.find("ablations", "no quality gate", at) else { continue };
        let lost = paired(base, without, |row| row.correct);
        let claim = format!("no quality gate, {load} %: points of correct lost");
        judge.mean(claim, lost, Bound::AtLeast(5.0));
    }
    let (ring, silent) = ("ten colluders", "no sharing");
    if let (Some(base), Some(without)) =
        (judge.named(ring, FORMIC, 100), judge.named(ring, silent, 100))
    {
        let lost = paired(base, without, |row| row.correct);
        let claim = "no sharing, ten colluders of 100: points of correct lost".to_owned();
        judge.mean(claim, lost, Bound::AtLeast(5.0));
    }
}

/// Seed by seed, as both saw the same worlds.
fn paired(base: &Measured, other: &Measured, field: fn(&crate::figures::Row) -> f64) -> Mean {
    let pairs = base.rows.iter().zip(&other.rows);
    let differences: Vec<f64> = pairs.map(|(a, b)| field(a) - field(b)).collect();
    Mean::of_values(&differences)
}

pub(crate) fn print(plan: &Plan, rows: &[Measured]) {
    println!("\n| goal | value | bound | verdict |\n|---|---|---|---|");
    for goal in all(rows) {
        let value = match goal.half {
            Some(half) => format!("{:.1} +-{half:.1}", goal.value),
            None => format!("{:.2}", goal.value),
        };
        let bound = match goal.bound {
            Bound::AtLeast(bound) => format!(">= {bound:.1}"),
            Bound::AtMost(bound) => format!("<= {bound:.1}"),
        };
        let verdict = match (plan.effort, goal.verdict()) {
            (crate::Effort::Quick, _) => "not judged: too few seeds",
            (crate::Effort::Full, Verdict::Pass) => "PASS",
            (crate::Effort::Full, Verdict::Miss) => "MISS",
        };
        println!("| {} | {value} | {bound} | {verdict} |", goal.claim);
    }
}
