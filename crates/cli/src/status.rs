//! `formic status`: who is there and what goes on.

mod trails;

use core::{fmt::Write as _, time::Duration};

use formic_node::Status;
use serde_json::{Value, json};

use crate::{
    args::StatusArgs,
    exit::{Exit, Stop},
    folder, link, output,
};

/// A mesh that does not answer in this time is not there.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: &StatusArgs) -> Result<Exit, Stop> {
    let seeds = if args.join.is_empty() { folder::local_peers() } else { args.join.clone() };
    if seeds.is_empty() {
        let message =
            "no peer runs on this host: start one with `formic peer`, or give --join ADDR";
        return Err(Stop::new(Exit::NoQuorum, message));
    }
    let client = link::client(link::addresses(&seeds)?, args.mesh_key.as_deref()).await?;
    let status = answer(client.status(), &seeds).await?;
    if let Some(format) = args.trails {
        let trails = answer(client.trails(), &seeds).await?;
        output::data(&trails::show(&trails, (status.me, &status.members), (format, args.json)));
        return Ok(Exit::Ok);
    }
    output::data(&if args.json { as_json(&status).to_string() } else { table(&status) });
    Ok(Exit::Ok)
}

async fn answer<T>(
    question: impl Future<Output = Result<T, formic::ClientError>>,
    seeds: &[String],
) -> Result<T, Stop> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(answer) => answer.map_err(|error| link::unreachable(&error)),
        Err(_) => {
            let message = format!("no peer answers at {}", seeds.join(", "));
            Err(Stop::new(Exit::NoQuorum, message))
        }
    }
}

fn as_json(status: &Status) -> Value {
    let members = status.members.iter().map(|it| {
        json!({
            "peer": it.life.peer.to_string(), "incarnation": it.life.incarnation.0, "name": it.name,
            "state": it.state, "capabilities": it.capabilities,
            "addresses": it.addresses, "slots": it.slots, "running": it.running,
            "queued": it.queued, "heard_us": it.heard_us,
        })
    });
    let jobs = status.jobs.iter().map(|it| {
        json!({
            "job": it.job.to_string(), "state": it.state, "rank": it.rank, "live": it.live,
            "awaited": it.awaited,
            "home": {"alive": it.home_alive.0, "total": it.home_alive.1},
        })
    });
    json!({
        "mesh": status.mesh.map(|mesh| mesh.to_string()),
        "me": {"peer": status.me.peer.to_string(), "incarnation": status.me.incarnation.0},
        "topology": "mesh",
        "view": status.view.as_ref().map(|view| json!({
            "epoch": view.epoch.0, "hash": view.hash().to_string(),
            "members": view.lives().map(|life| life.to_string()).collect::<Vec<_>>(),
            "forced": view.forced.as_ref().map(|forced| forced.reason.clone()),
        })),
        "quorum": status.quorum,
        "margin": status.margin,
        "health": {
            "status": status.health.status.word(),
            "causes": status.health.causes.iter().map(|(cause, lasted)| json!({
                "cause": cause.to_string(), "for_ms": lasted.as_millis() as u64,
            })).collect::<Vec<_>>(),
        },
        "members": members.collect::<Vec<_>>(),
        "jobs": jobs.collect::<Vec<_>>(),
        "electorates": status.electorates.iter().map(|it| json!({
            "job": it.job.to_string(), "electorate": it.digest.to_string(),
            "voters": it.voters.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "alive": it.alive, "quorum": it.quorum, "open": it.open, "decided": it.decided,
            "threshold": it.threshold,
        })).collect::<Vec<_>>(),
        "reputations": status.reputations.iter().map(|it| json!({
            "peer": it.peer.to_string(), "per_mille": it.per_mille,
        })).collect::<Vec<_>>(),
        "version": env!("CARGO_PKG_VERSION"),
    })
}

fn table(status: &Status) -> String {
    let mesh = status.mesh.map_or_else(|| "none yet".to_owned(), |mesh| mesh.short());
    let alive = status.members.iter().filter(|member| member.state == "alive").count();
    // Who left in good order is remembered for a minute, and missed by nobody.
    let stay = status.members.iter().filter(|member| member.state != "left").count();
    let mut out = format!("mesh {mesh}: {alive} of {stay} peers alive\n");
    out.push_str(&view(status));
    let mut rows = vec![
        ["PEER", "NAME", "STATE", "RUNS", "QUEUED", "HEARD", "ADDRESS", "CAN"].map(str::to_owned),
    ];
    for member in &status.members {
        let me = member.life == status.me;
        let heard =
            if me { "asked".to_owned() } else { crate::span::show_ms(member.heard_us / 1_000) };
        let can: Vec<&str> = member.capabilities.iter().map(formic::Capability::as_str).collect();
        let address = member.addresses.first().map(ToString::to_string).unwrap_or_default();
        let load = |count: Option<u32>| count.map_or_else(|| "-".to_owned(), |it| it.to_string());
        rows.push([
            member.life.to_string(),
            member.name.clone(),
            member.state.clone(),
            format!("{}/{}", load(member.running), member.slots),
            load(member.queued),
            heard,
            address,
            can.join(","),
        ]);
    }
    align(&mut out, &rows);
    if status.jobs.is_empty() {
        out.push_str("no jobs here\n");
        return out;
    }
    let mut rows = vec![["JOB", "STATE", "RUNS HERE", "AWAITED", "HOME ALIVE"].map(str::to_owned)];
    for job in &status.jobs {
        let (alive, total) = job.home_alive;
        let home = if total == 0 { "-".to_owned() } else { format!("{alive}/{total}") };
        rows.push([
            job.job.to_string(),
            job.state.clone(),
            job.live.to_string(),
            job.awaited.to_string(),
            home,
        ]);
    }
    align(&mut out, &rows);
    electorates(&mut out, status);
    out
}

/// Who votes in which job, and what decisions say about voters.
fn electorates(out: &mut String, status: &Status) {
    if !status.electorates.is_empty() {
        let head = ["VOTERS OF JOB", "ALIVE", "DECIDE", "OPEN", "DECIDED", "ELECTORATE"];
        let mut rows = vec![head.map(str::to_owned)];
        for it in &status.electorates {
            rows.push([
                it.job.to_string(),
                format!("{}/{}", it.alive, it.voters.len()),
                it.quorum.to_string(),
                it.open.to_string(),
                it.decided.to_string(),
                it.digest.to_string(),
            ]);
        }
        align(out, &rows);
        let said = status.electorates.iter().filter(|it| it.threshold > 0);
        for said in said.filter_map(|it| formic::unanimity(it.threshold, it.voters.len())) {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{said}");
        }
    }
    if !status.reputations.is_empty() {
        let mut rows = vec![["VOTER", "REPUTATION"].map(str::to_owned)];
        for it in &status.reputations {
            rows.push([it.peer.short(), formic_node::share(it.per_mille)]);
        }
        align(out, &rows);
    }
}

/// The committed view, the majority, and what is wrong.
fn view(status: &Status) -> String {
    let Some(view) = &status.view else { return String::new() };
    let quorum = match (status.quorum, status.margin) {
        (false, _) => "no majority in touch: nothing can be decided here".to_owned(),
        (true, None | Some(0)) => "majority in touch, one more crash may lose it".to_owned(),
        (true, Some(margin)) => format!("majority in touch, survives {margin} more at once"),
    };
    let forced = view.forced.as_ref().map(|forced| format!(", forced: {}", forced.reason));
    let forced = forced.unwrap_or_default();
    let mut out =
        format!("view {} ({} members{forced}): {quorum}\n", view.epoch, view.members.len());
    for (cause, lasted) in &status.health.causes {
        let lasted = crate::span::show_ms(u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}: {cause}, for {lasted}", status.health.status.word());
    }
    out
}

pub(crate) fn align<const N: usize>(out: &mut String, rows: &[[String; N]]) {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{:<width$}  ", crate::report::cut(cell));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
