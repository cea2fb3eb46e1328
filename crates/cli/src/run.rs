//! `formic run`: start peers, run the plan, prove completion, print the report.

mod chaos;
pub(crate) mod cuts;
mod journal;
mod progress;
mod state;
mod watch;

use core::time::Duration;
use std::collections::BTreeMap;

use formic::{Client, ClientJob, LogEvent};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    args::{RunArgs, TransportKind},
    conclude, decision,
    exit::{Exit, Stop},
    fleet::{self, Fleet, Launch},
    interrupt::Interrupts,
    later, link, output,
    plan::CheckedPlan,
    programs, submit,
};

use chaos::Chaos;
use cuts::Cuts;
use journal::Journal;
use state::{Kept, Saved};
use watch::{Ending, Watch};

/// Peers where the plan has no agents.
const PEERS: usize = 4;
/// How long all peers may take to become members.
const JOIN: Duration = Duration::from_secs(20);
/// How long peers may take to leave; longer than their own grace for bodies.
const LEAVE: Duration = Duration::from_secs(12);
/// How long after the end the last peers may take to know it.
const SPREAD: Duration = Duration::from_secs(3);

pub(crate) async fn run(args: &RunArgs) -> Result<Exit, Stop> {
    later::run(args)?;
    let given: BTreeMap<_, _> = args.input.iter().cloned().collect();
    let plan = CheckedPlan::load(&args.plan, &given)?;
    if !args.join.is_empty() && !args.check {
        return submit::on_mesh(&plan, &submit::Wish::of_run(args)).await;
    }
    plan.placed()?;
    programs::require(&plan.agents)?;
    let peers = args.peers.map_or(default_peers(&plan), |peers| peers as usize);
    if !args.quiet {
        plan.warnings(peers).iter().for_each(|said| output::note(said));
    }
    if args.check {
        let (tasks, agents) = (plan.plan.tasks.len(), plan.agents.len());
        output::data(&format!("{} is fine: {tasks} tasks, {agents} agents", args.plan.display()));
        return Ok(Exit::Ok);
    }
    let mut interrupts = Interrupts::new()?;
    let mut run = Run::prepare(args, plan)?;
    let ended = run.whole(&mut interrupts).await;
    run.tell(ended)
}

fn default_peers(plan: &CheckedPlan) -> usize {
    if plan.agents.is_empty() { PEERS } else { plan.agents.len() }
}

struct Run<'a> {
    args: &'a RunArgs,
    plan: CheckedPlan,
    journal: Journal,
    saved: Option<Saved>,
    specs: Vec<crate::host::Spec>,
    seed: u64,
    cuts: Cuts,
    job: Option<ClientJob>,
}

impl<'a> Run<'a> {
    fn prepare(args: &'a RunArgs, plan: CheckedPlan) -> Result<Self, Stop> {
        let seed = match args.seed {
            Some(seed) => seed,
            None => {
                getrandom::u64().map_err(|error| Stop::usage(format!("no randomness: {error}")))?
            }
        };
        let saved = match &args.state {
            Some(dir) => Some(Saved::open(dir, &plan, args)?),
            None => None,
        };
        let kept = saved.as_ref().and_then(Saved::unfinished);
        let wanted = args.peers.map(|peers| peers as usize);
        let default = default_peers(&plan);
        let count = kept.map_or(wanted.unwrap_or(default), |kept| kept.peers);
        chaos::fits(&args.kill, count)?;
        let cuts = Cuts::new(&args.partition, count, seed)?;
        if !args.partition.is_empty() && args.transport == TransportKind::Memory {
            let message =
                "--partition needs --transport quic: inside one process there is no network";
            return Err(Stop::usage(message));
        }
        let journal = Journal::open(args, kept)?;
        let specs = fleet::specs(&plan.agents, count, args.state.as_deref(), &journal.work());
        Ok(Self { args, plan, journal, saved, specs, seed, cuts, job: None })
    }

    /// From the first peer to the last one gone.
    async fn whole(&mut self, interrupts: &mut Interrupts) -> Result<Ending, Stop> {
        self.journal.write(LogEvent::RunStarted {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            plan: self.args.plan.display().to_string(),
            peers: u32::try_from(self.specs.len()).unwrap_or(u32::MAX),
            transport: self.args.transport.word().to_owned(),
            seed: self.seed,
            durable: self.args.state.is_some(),
        });
        if !self.args.kill.is_empty() && !self.args.quiet {
            output::note(&format!(
                "chaos with seed {}: --seed {} repeats it",
                self.seed, self.seed
            ));
        }
        let launch = Launch {
            specs: self.specs.clone(),
            log: self.journal.log.clone(),
            events: self.journal.events.clone(),
            epoch_us: self.journal.epoch_us,
        };
        let mut fleet = tokio::select! {
            fleet = Fleet::start(self.args.transport, &launch) => fleet?,
            () = interrupts.next() => return Ok(Ending::Interrupted),
        };
        let ending = self.with(&mut fleet, interrupts).await;
        let overrun = tokio::select! {
            () = fleet.leave(LEAVE) => false,
            () = interrupts.next() => true,
        };
        if overrun {
            fleet.kill_all().await;
        }
        ending
    }

    /// The job, from its submission to what came of it.
    async fn with(
        &mut self,
        fleet: &mut Fleet,
        interrupts: &mut Interrupts,
    ) -> Result<Ending, Stop> {
        let client = fleet.client().await?;
        let started = Instant::now();
        let given = self.args.timeout;
        let job = tokio::select! {
            job = self.job_on(&client) => job?,
            () = interrupts.next() => return Ok(Ending::Interrupted),
            () = limit(given) => return Ok(Ending::Timeout),
        };
        self.journal.name_job(&job.job.to_string());
        self.job = Some(job.clone());
        let cuts = core::mem::take(&mut self.cuts);
        let chaos = (Chaos::new(&self.args.kill, self.seed), cuts);
        let left = given.map(|all| all.saturating_sub(started.elapsed()));
        let mut watch = Watch::new(self.args, &self.specs, &mut self.journal, (chaos, &job), left);
        let ending = tokio::select! {
            ending = watch.until_over(fleet, &client) => ending,
            () = interrupts.next() => Ending::Interrupted,
        };
        match &ending {
            Ending::Over(_) => {
                // The verdict spreads by itself: the report tells when it had.
                tokio::select! {
                    _ = timeout(SPREAD, watch.until_known(fleet)) => {}
                    () = interrupts.next() => {}
                }
            }
            Ending::Interrupted | Ending::Timeout if self.args.state.is_none() => {
                let reason = ending.exit().verdict();
                drop(timeout(SPREAD, client.cancel(job.job, reason)).await);
            }
            _ => {}
        }
        watch.close();
        let kept = watch.kills_left();
        if kept > 0 && !self.args.quiet {
            output::note(&format!("the job ended first: {kept} --kill did not come to pass"));
        }
        Ok(ending)
    }

    /// Submits the plan, or finds the job that a run before this one left open.
    async fn job_on(&mut self, client: &Client) -> Result<ClientJob, Stop> {
        let kept = self.saved.as_ref().and_then(Saved::unfinished).cloned();
        all_members(client, self.specs.len()).await?;
        if let Some(kept) = kept {
            let job = kept.job_id()?;
            if !self.args.quiet {
                output::note(&format!("going on with job {job}, which was left open here"));
            }
            return Ok(kept.client_job(job));
        }
        let job =
            client.submit(&self.plan.plan).await.map_err(|error| link::unreachable(&error))?;
        if let Some(saved) = &mut self.saved {
            saved.keep(Kept {
                version: 1,
                job: job.job.to_string(),
                plan: self.plan.digest.to_string(),
                peers: self.specs.len(),
                home: job.home.iter().map(|life| life.peer.to_string()).collect(),
                epoch_us: self.journal.epoch_us,
                finished: false,
            })?;
        }
        Ok(job)
    }

    /// The report, the certificate, and the exit code.
    fn tell(mut self, ended: Result<Ending, Stop>) -> Result<Exit, Stop> {
        let (exit, message) = match &ended {
            Ok(Ending::Over(verdict)) => (conclude::exit_of(verdict), None),
            Ok(ending) => (ending.exit(), Some(self.advice(ending))),
            Err(stop) => (stop.exit, Some(stop.message.clone())),
        };
        let verdict = if let Ok(Ending::Over(verdict)) = &ended { Some(verdict) } else { None };
        if let (Some(_), Some(saved)) = (verdict, &mut self.saved) {
            saved.finish()?;
        }
        self.journal
            .write(LogEvent::RunFinished { verdict: exit.verdict().to_owned(), exit: exit.code() });
        let mut report = conclude::report(exit, verdict.map(|verdict| &**verdict));
        let job = self.job.as_ref().map(|job| job.job.to_string());
        self.journal.measure(&mut report, job.as_deref())?;
        report.job = job;
        if verdict.is_none() {
            // A job that was stopped has open tasks: none of them is lost, and its cancelled root is not complete.
            report.tasks.lost = None;
            report.ms.complete = None;
        }
        if let Some(verdict) = verdict {
            let path = self.args.certificate.clone().unwrap_or_else(|| self.journal.certificate());
            report.certificate = Some(conclude::write_certificate(&path, verdict)?);
            decision::write_all(&path, &mut report.validations)?;
        }
        conclude::Print::of((self.args.json, self.args.quiet)).show(&report);
        message.map_or(Ok(exit), |message| Err(Stop::new(exit, message)))
    }

    /// What happened, and what to do, where the job did not end.
    fn advice(&self, ending: &Ending) -> String {
        let what = match ending {
            Ending::Over(_) => String::new(),
            Ending::Interrupted => "interrupted".to_owned(),
            Ending::Timeout => "not complete in time".to_owned(),
            Ending::NoPeerLeft => "no peer is left: all were killed".to_owned(),
            Ending::NoQuorum { alive, of } => {
                format!(
                    "only {alive} of the job's {of} home peers are left: no majority, so nothing can be decided"
                )
            }
            Ending::Nobody { task, missing } => {
                format!("no capable peer is left for task `{task}`: nobody alive has {missing}")
            }
            Ending::Lost(error) => error.clone(),
        };
        let open = self.job.is_some() && !matches!(ending, Ending::Over(_));
        match &self.args.state {
            Some(_) if open => {
                format!("{what}\nits state is kept: the same command goes on with the job")
            }
            None if open && ending.exit() == Exit::NoQuorum => {
                format!("{what}\nwith --state DIR the same command would have gone on with the job")
            }
            _ => what,
        }
    }
}

/// Waits until `count` peers are members, so that the home group is full and all share the work.
async fn all_members(client: &Client, count: usize) -> Result<(), Stop> {
    let until = Instant::now() + JOIN;
    loop {
        let status = client.status().await.map_err(|error| link::unreachable(&error))?;
        let alive = status.members.iter().filter(|member| member.state == "alive").count();
        if alive >= count {
            return Ok(());
        }
        if Instant::now() >= until {
            let message = format!("only {alive} of {count} peers joined in {} s", JOIN.as_secs());
            return Err(Stop::new(Exit::NoQuorum, message));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn limit(span: Option<Duration>) {
    match span {
        Some(span) => sleep(span).await,
        None => core::future::pending().await,
    }
}
