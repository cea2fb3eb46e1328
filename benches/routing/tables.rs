//! The tables of pheromones.md 12.3 and 12.4.

use crate::{
    Effort, Plan,
    contest::{self, Contestant},
    figures::{Mean, Row, adaptation},
    world::{Faults, Fleet, Liars, Scenario},
};

/// A cell of the tables, with all its runs.
pub(crate) struct Measured {
    pub(crate) table: &'static str,
    pub(crate) scenario: Scenario,
    pub(crate) contestant: &'static str,
    pub(crate) rows: Vec<Row>,
}

impl Measured {
    pub(crate) fn mean(&self, field: impl Fn(&Row) -> f64) -> Mean {
        Mean::of(&self.rows, field)
    }
}

const MAIN: Scenario = Scenario {
    name: "main",
    peers: 10,
    load: 70,
    liars: Liars::Garbage,
    faults: Faults::All,
    fleet: Fleet::Mixed,
    verified: 50,
    seconds: 120,
};
/// The two that goals are about first.
const LOADS: [u32; 4] = [70, 90, 50, 95];

struct Run<'a> {
    plan: &'a Plan,
    measured: Vec<Measured>,
}

pub(crate) fn print(plan: &Plan) -> Vec<Measured> {
    println!(
        "Virtual time; from seed {}: {} seeds of ten peers, {} of a hundred. SLO: correct and within 1 s; \
         both of all offered. Share: attempts that went to liars. Messages a task: probes and promises; \
         hints and trails, which do not grow with load, apart. +- is half of a 95 % interval of the mean \
         (Student).",
        plan.first, plan.seeds, plan.large,
    );
    let mut run = Run { plan, measured: Vec::new() };
    if plan.seeds > 0 {
        run.loads(10);
    }
    if plan.seeds > 0 && plan.effort == Effort::Full {
        run.scenarios();
        run.ablations();
        run.verification();
        run.attacks();
    }
    if plan.large > 0 {
        run.attacks_on_a_hundred();
        run.loads(100);
    }
    run.measured
}

impl Run<'_> {
    fn seeds(&self, peers: usize) -> Vec<u64> {
        let count = if peers > 32 { self.plan.large } else { self.plan.seeds };
        (self.plan.first..self.plan.first + count).collect()
    }

    fn row(&mut self, table: &'static str, scenario: Scenario, contestant: &Contestant) {
        let rows = contest::run(contestant, scenario, &self.seeds(scenario.peers));
        let measured = Measured { table, scenario, contestant: contestant.name(), rows };
        let show = |field: fn(&Row) -> f64| {
            let mean = measured.mean(field);
            format!("{:.1} +-{:.1}", mean.mean, mean.half)
        };
        let whole = |field: fn(&Row) -> f64| format!("{:.0}", measured.mean(field).mean);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} / {} | {} | {:.1} | {:.1}; {:.1} |",
            scenario.name,
            measured.contestant,
            scenario.peers,
            scenario.load,
            show(|row| row.slo),
            show(|row| row.correct),
            whole(|row| row.p50),
            whole(|row| row.p99),
            show(|row| row.share),
            measured.mean(|row| row.probes).mean,
            measured.mean(|row| row.hints).mean,
            measured.mean(|row| row.trails).mean,
        );
        self.measured.push(measured);
    }

    fn head(title: &str) {
        println!(
            "\n{title}\n\n| scenario | rule | peers | load % | SLO % | correct % | p50 / p99 ms | share % \
             | probes | hints; trails |\n|---|---|---|---|---|---|---|---|---|---|"
        );
    }

    fn loads(&mut self, peers: usize) {
        let seconds = if peers > 32 { 60 } else { 120 };
        let mut all = vec![contest::formic()];
        if peers > 16 {
            all.push(contest::always_five());
        }
        all.push(contest::admitting());
        all.extend(contest::rivals());
        let loads = if self.plan.effort == Effort::Quick { &LOADS[..2] } else { &LOADS[..] };
        for load in loads {
            Self::head(&format!("{peers} peers, one garbage peer, all faults, {load} % load:"));
            let scenario = Scenario { peers, load: *load, seconds, ..MAIN };
            all.iter().for_each(|contestant| self.row("loads", scenario, contestant));
            self.adaptations("loads", scenario);
        }
    }

    /// How long after the swap latencies are near their last quarter's again.
    fn adaptations(&self, table: &str, scenario: Scenario) {
        let here = self.measured.iter().filter(|it| it.table == table && it.scenario == scenario);
        // Whose queues grow without bound has nothing to settle to.
        let served = here.filter(|it| it.mean(|row| row.slo).mean >= 50.0);
        let settled = served.map(|it| {
            let time = adaptation(&it.rows).map_or("never".to_owned(), |s| format!("{s} s"));
            format!("{} {time}", it.contestant)
        });
        println!("\nSettled after the swap of speeds: {}.", settled.collect::<Vec<_>>().join(", "));
    }

    fn scenarios(&mut self) {
        let some = || {
            let mut some = vec![contest::formic(), contest::admitting()];
            let shown = ["p2c", "SED(5)", "SED(5) + ejection", "Prequal-like", "oracle"];
            some.extend(contest::rivals().into_iter().filter(|it| shown.contains(&it.name())));
            some
        };
        let variants = [
            Scenario { name: "clean", liars: Liars::None, faults: Faults::None, ..MAIN },
            Scenario { name: "homogeneous", fleet: Fleet::Homogeneous, ..MAIN },
            Scenario { name: "slow liar", liars: Liars::Slow, ..MAIN },
        ];
        Self::head("Other worlds:");
        for scenario in variants {
            for load in [70, 90] {
                let scenario = Scenario { load, ..scenario };
                some().iter().for_each(|contestant| self.row("worlds", scenario, contestant));
            }
        }
    }

    fn ablations(&mut self) {
        Self::head("What each part is worth (one thing changed, by configuration):");
        for load in [70, 90] {
            let scenario = Scenario { load, ..MAIN };
            contest::ablations().iter().for_each(|it| self.row("ablations", scenario, it));
        }
        let slow = Scenario { name: "slow liar", liars: Liars::Slow, ..MAIN };
        let named = ["formic", "promises believed up to 100x", "no rescue"];
        for contestant in contest::ablations() {
            if named.contains(&contestant.name()) {
                self.row("ablations", slow, &contestant);
            }
        }
    }

    fn verification(&mut self) {
        Self::head("How much is verified decides how far a liar gets (70 % load):");
        let names = ["verified 50 %", "verified 25 %", "verified 10 %", "verified 2 %"];
        for (name, verified) in names.into_iter().zip([50, 25, 10, 2]) {
            let scenario = Scenario { name, verified, ..MAIN };
            self.row("verification", scenario, &contest::formic());
        }
    }

    fn attacks(&mut self) {
        Self::head(
            "Attacks on ten peers, 70 % load (naive twin: trails that add up and believe all):",
        );
        let attacks = [
            Scenario { name: "instant garbage, load 0", ..MAIN },
            Scenario { name: "praise and slander", liars: Liars::Gossips, ..MAIN },
        ];
        for scenario in attacks {
            self.row("attacks", scenario, &contest::formic());
            self.row("attacks", scenario, &contest::TWIN);
        }
    }

    fn attacks_on_a_hundred(&mut self) {
        Self::head("Attacks on a hundred peers, 70 % load:");
        let base = Scenario { peers: 100, seconds: 60, ..MAIN };
        let attacks = [
            Scenario { name: "ten colluders", liars: Liars::Colluders, ..base },
            Scenario { name: "ten praise and slander", liars: Liars::Gossips, ..base },
        ];
        let silent = contest::ablations().into_iter().find(|it| it.name() == "no sharing");
        for scenario in attacks {
            self.row("attacks", scenario, &contest::formic());
            silent.iter().for_each(|it| self.row("attacks", scenario, it));
            self.row("attacks", scenario, &contest::TWIN);
        }
    }
}
