//! `formic ca`: who belongs to a mesh beyond one host.
//!
//! ```text
//!   authority's host: ca init CA          peer's host: ca key --state DIR --> KEY
//!   ca issue CA --key KEY --out FILE <----------------------------------------'
//!        FILE --> peer --state DIR --mesh-key FILE --listen ADDRESS
//! ```
//!
//! Secret keys stay where they are made: the authority's in its directory, a peer's in its state directory. A client has no
//! state, so its file has its key.

use core::time::Duration;
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use formic_identity::SecretKey;
use serde_json::json;

use crate::{
    args::{CaCommand, IssueArgs},
    exit::{Exit, Stop},
    hex, host,
    mesh_key::{self, MeshKey},
    output,
};

const AUTHORITY: &str = "authority.json";
/// One line per certificate that was issued.
const ISSUED: &str = "issued.jsonl";

pub(crate) fn run(command: &CaCommand) -> Result<Exit, Stop> {
    match command {
        CaCommand::Init { dir, valid } => init(dir, *valid)?,
        CaCommand::Key { state } => {
            let (identity, _store) = host::identify(Some(state))?;
            output::data(&hex::encode(&identity.secret().public().to_bytes()));
        }
        CaCommand::Issue(args) => issue(args)?,
        CaCommand::List { dir } => list(dir)?,
    }
    Ok(Exit::Ok)
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> Stop {
    let path = path.to_owned();
    move |error| Stop::usage(format!("{}: {error}", path.display()))
}

fn init(dir: &Path, valid: Duration) -> Result<(), Stop> {
    let valid = checked(valid)?;
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
    mesh_key::found(&dir.join(AUTHORITY), valid)?;
    output::note(&format!(
        "{0} decides who belongs to the mesh: keep it off the peers. On each peer's host, `formic ca key --state DIR` \
         prints the key for `formic ca issue {0} --key KEY --out FILE`.",
        dir.display()
    ));
    Ok(())
}

fn issue(args: &IssueArgs) -> Result<(), Stop> {
    let authority = mesh_key::authority(&args.dir.join(AUTHORITY))?;
    let secret = if args.client { Some(mesh_key::fresh()?) } else { None };
    let Some(key) = args.key.or_else(|| secret.as_ref().map(SecretKey::public)) else {
        return Err(Stop::usage("expected --key KEY or --client"));
    };
    let valid = checked(args.valid)?;
    let membership = authority.admit(&key, valid).map_err(|error| {
        Stop::usage(format!("--valid: {error}; the authority's own time is over sooner: give less"))
    })?;
    if args.out.exists() {
        return Err(mesh_key::exists(&args.out));
    }
    let (peer, valid_until) = (membership.peer(), mesh_key::until(valid));
    // First the record: nobody is a member whom `list` does not show.
    record(&args.dir, &peer.to_string(), (valid_until, args))?;
    MeshKey { membership, valid_until, secret }.write(&args.out)?;
    output::data(&format!("{} {peer}", args.out.display()));
    Ok(())
}

/// Shorter ones are over before they are used.
fn checked(valid: Duration) -> Result<Duration, Stop> {
    if valid >= Duration::from_secs(1) {
        return Ok(valid);
    }
    Err(Stop::usage("--valid: expected at least 1s"))
}

/// Writes down who was made a member, for `ca list`.
fn record(dir: &Path, peer: &str, (until, args): (u64, &IssueArgs)) -> Result<(), Stop> {
    let kind = if args.client { "client" } else { "peer" };
    let file = args.out.display().to_string();
    let line = json!({"peer": peer, "kind": kind, "until": until, "file": file});
    let path = dir.join(ISSUED);
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let written = opened.and_then(|mut file| {
        writeln!(file, "{line}")?;
        file.sync_all()
    });
    written.map_err(at(&path))
}

fn list(dir: &Path) -> Result<(), Stop> {
    // Also of an authority whose time is over.
    let key = dir.join(AUTHORITY);
    File::open(&key).map_err(at(&key))?;
    let path = dir.join(ISSUED);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(&path)(error)),
    };
    for line in BufReader::new(file).lines() {
        output::data(&line.map_err(at(&path))?);
    }
    Ok(())
}
