//! `formic example treehash`: the example worker.

use std::num::NonZero;

use crate::{
    args::Example,
    exit::{Exit, Stop},
    link::chain,
    output,
};

pub(crate) async fn run(example: &Example) -> Result<Exit, Stop> {
    let Example::Treehash { local } = example;
    let Some(dir) = local else { return serve().await };
    let (hash, skipped) = formic_agents::treehash::local(dir)
        .map_err(|error| Stop::new(Exit::TaskFailed, chain(&error)))?;
    if skipped.0 > 0 {
        output::note(&format!("skipped {} entries: no file, directory or symlink", skipped.0));
    }
    output::data(&hash);
    Ok(Exit::Ok)
}

/// The worker on stdin and stdout.
async fn serve() -> Result<Exit, Stop> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let slots = u32::try_from(processors).unwrap_or(1);
    let served = formic_agents::treehash::serve(tokio::io::stdin(), tokio::io::stdout(), slots);
    match served.await {
        Ok(()) => Ok(Exit::Ok),
        Err(error) => Err(Stop::new(
            Exit::TaskFailed,
            format!(
                "{}\nthis is a worker: a peer starts it and speaks to it on stdin; --local DIR hashes in one process",
                chain(&error)
            ),
        )),
    }
}
