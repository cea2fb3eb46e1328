//! `formic mesh`: decisions of an operator about the mesh as a whole.

use core::time::Duration;

use formic::PeerId;
use formic_core::{Epoch, View};
use formic_node::Status;

use crate::{
    args::{ForceViewArgs, MeshCommand},
    exit::{Exit, Stop},
    link, output,
};

/// The members get 2 s to agree.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(command: &MeshCommand) -> Result<Exit, Stop> {
    match command {
        MeshCommand::ForceView(args) => force_view(args).await,
    }
}

async fn force_view(args: &ForceViewArgs) -> Result<Exit, Stop> {
    if args.reason.trim().is_empty() || args.reason.len() > 256 {
        return Err(Stop::usage("--reason: expected 1 to 256 bytes that say why"));
    }
    let addresses = link::addresses(std::slice::from_ref(&args.join))?;
    let client = link::client(addresses, args.mesh_key.as_deref()).await?;
    let work = async {
        let status = client.status().await.map_err(|error| link::unreachable(&error))?;
        let members = members(&args.members, &status)?;
        let forced = client.force_view(members, Epoch(args.epoch), args.reason.clone()).await;
        forced.map_err(|error| Stop::new(Exit::NoQuorum, link::chain(&error)))
    };
    let view = tokio::time::timeout(PATIENCE, work).await;
    let view = view.map_err(|_| {
        Stop::new(Exit::NoQuorum, format!("no answer within {} s", PATIENCE.as_secs()))
    })??;
    output::data(&told(&view));
    Ok(Exit::Ok)
}

fn told(view: &View) -> String {
    let members: Vec<String> = view.lives().map(|life| life.to_string()).collect();
    let dropped = view.forced.as_ref().map_or(0, |forced| forced.dropped.len());
    format!(
        "view {} is forced: {} of {} members go on: {}",
        view.epoch,
        members.len(),
        members.len() + dropped,
        members.join(", ")
    )
}

/// Members by the beginning of their id or by name.
fn members(words: &[String], status: &Status) -> Result<Vec<PeerId>, Stop> {
    let mut chosen = Vec::new();
    for word in words {
        let fits = |it: &&formic::MemberStatus| {
            it.name == *word || it.life.peer.to_string().starts_with(word.as_str())
        };
        let mut found = status.members.iter().filter(fits).map(|it| it.life.peer);
        match (found.next(), found.next()) {
            (Some(peer), None) => chosen.push(peer),
            (None, _) => {
                let names: Vec<&str> = status.members.iter().map(|it| it.name.as_str()).collect();
                let known = names.join(", ");
                let message = format!("--members {word}: no such member; there are {known}");
                return Err(Stop::usage(message));
            }
            (Some(_), Some(_)) => {
                return Err(Stop::usage(format!("--members {word}: several members fit")));
            }
        }
    }
    Ok(chosen)
}
