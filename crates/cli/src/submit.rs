//! `formic submit`, and `formic run --join`: a plan on an existing mesh.

use core::time::Duration;
use std::path::PathBuf;

use formic::{Capability, Client};
use formic_completion::Verdict;
use formic_node::{MemberStatus, Status};
use tokio::time::{sleep, timeout};

use crate::{
    args::{RunArgs, SubmitArgs},
    conclude::{self, Print},
    exit::{Exit, Stop},
    interrupt::Interrupts,
    link, output,
    plan::CheckedPlan,
};

/// How long a cancelled job may take to end.
const CANCEL: Duration = Duration::from_secs(3);

/// What the user wants of a job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// Peers of the mesh.
    join: Vec<String>,
    mesh_key: Option<PathBuf>,
    detach: bool,
    timeout: Option<Duration>,
    certificate: Option<PathBuf>,
    print: Print,
}

impl Wish {
    pub(crate) fn of_run(args: &RunArgs) -> Self {
        Self {
            join: args.join.clone(),
            mesh_key: args.mesh_key.clone(),
            detach: false,
            timeout: args.timeout,
            certificate: args.certificate.clone(),
            print: Print::of((args.json, args.quiet)),
        }
    }
}

pub(crate) async fn run(args: &SubmitArgs) -> Result<Exit, Stop> {
    let given = args.input.iter().cloned().collect();
    let plan = CheckedPlan::load(&args.plan, &given)?;
    let wish = Wish {
        join: args.join.clone(),
        mesh_key: args.mesh_key.clone(),
        detach: args.detach,
        timeout: args.timeout,
        certificate: args.certificate.clone(),
        print: Print::of((args.json, args.quiet)),
    };
    on_mesh(&plan, &wish).await
}

pub(crate) async fn on_mesh(plan: &CheckedPlan, wish: &Wish) -> Result<Exit, Stop> {
    let mut interrupts = Interrupts::new()?;
    let client = link::client(link::addresses(&wish.join)?, wish.mesh_key.as_deref()).await?;
    let status = client.status().await.map_err(|error| link::unreachable(&error))?;
    capable(plan, &status)?;
    if wish.print == Print::Screen {
        let alive = status.members.iter().filter(|member| member.state == "alive");
        let judges = |member: &&MemberStatus| {
            member.capabilities.iter().any(|capability| capability.as_str() == "validate")
        };
        let voters = (alive.clone().count(), alive.filter(judges).count());
        plan.warnings_for(voters).iter().for_each(|said| output::note(said));
    }
    let job = client.submit(&plan.plan).await.map_err(|error| link::unreachable(&error))?;
    if wish.detach {
        output::data(&job.job.to_string());
        return Ok(Exit::Ok);
    }
    if wish.print == Print::Screen {
        output::note(&format!("job {} was accepted", job.job));
    }
    let stopped = tokio::select! {
        verdict = client.wait(&job) => {
            let verdict = verdict.map_err(|error| link::unreachable(&error))?;
            return tell(&verdict, wish);
        }
        () = interrupts.next() => Exit::Interrupted,
        () = limit(wish.timeout) => Exit::Timeout,
    };
    cancel(&client, &job, stopped).await;
    Err(Stop::new(stopped, format!("{}: job {} was cancelled", stopped.verdict(), job.job)))
}

async fn cancel(client: &Client, job: &formic::ClientJob, why: Exit) {
    let asked = async {
        client.cancel(job.job, why.verdict()).await?;
        client.wait(job).await.map(drop)
    };
    // Who does not answer in time hears of it from its home group.
    drop(timeout(CANCEL, asked).await);
}

async fn limit(span: Option<Duration>) {
    match span {
        Some(span) => sleep(span).await,
        None => core::future::pending().await,
    }
}

fn tell(verdict: &Verdict, wish: &Wish) -> Result<Exit, Stop> {
    let exit = conclude::exit_of(verdict);
    let mut report = conclude::report(exit, Some(verdict));
    report.transport = "quic".to_owned();
    if let Some(path) = &wish.certificate {
        report.certificate = Some(conclude::write_certificate(path, verdict)?);
    }
    wish.print.show(&report);
    Ok(exit)
}

/// Refuses tasks that no live member can do, before anything is submitted.
fn capable(plan: &CheckedPlan, status: &Status) -> Result<(), Stop> {
    let alive = || status.members.iter().filter(|member| member.state == "alive");
    let mut lines = Vec::new();
    for task in &plan.plan.tasks {
        let has_all = |it: &[Capability]| Capability::lacking(it, &task.requires).next().is_none();
        if alive().any(|member| has_all(&member.capabilities)) {
            continue;
        }
        let serves = |it: &Capability, wanted: &Capability| it.serves(wanted);
        let known = |wanted: &&Capability| {
            alive().any(|member| member.capabilities.iter().any(|it| serves(it, wanted)))
        };
        let missing: Vec<&str> =
            task.requires.iter().filter(|it| !known(it)).map(Capability::as_str).collect();
        lines.push(if missing.is_empty() {
            let all: Vec<&str> = task.requires.iter().map(Capability::as_str).collect();
            format!(
                "no capable peer: no single one has all that task `{}` requires: {}",
                task.name,
                all.join(", ")
            )
        } else {
            format!(
                "no capable peer: nobody in the mesh has {}, which task `{}` requires",
                missing.join(", "),
                task.name
            )
        });
    }
    if lines.is_empty() { Ok(()) } else { Err(Stop::new(Exit::NoPeer, lines.join("\n"))) }
}
