use std::{collections::BTreeSet, io::IsTerminal as _};

use formic::{LogEvent, LogLine};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{args::RunArgs, report::thousands};

/// A bar on a terminal; nothing elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    spawned: BTreeSet<String>,
    done: BTreeSet<String>,
    down: usize,
}

impl Progress {
    pub(crate) fn new(args: &RunArgs) -> Self {
        let shown = !args.quiet && std::io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        // The template is a constant: without it the default one serves.
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, spawned: BTreeSet::new(), done: BTreeSet::new(), down: 0 }
    }

    pub(crate) fn show(&mut self, news: &[LogLine], alive: usize) {
        if self.bar.is_hidden() {
            return;
        }
        for line in news {
            match &line.event {
                LogEvent::TaskSpawned { key, .. } => {
                    self.spawned.insert(key.clone());
                }
                LogEvent::TaskDone { key, .. } => {
                    self.done.insert(key.clone());
                }
                LogEvent::ChaosKill { .. } => self.down += 1,
                _ => {}
            }
        }
        let (done, spawned) = (self.done.len() as u64, self.spawned.len() as u64);
        self.bar.set_length(spawned.max(1));
        self.bar.set_position(done);
        let killed = if self.down == 0 { String::new() } else { format!(", {} killed", self.down) };
        let counts = format!("{} of {} tasks done", thousands(done), thousands(spawned));
        self.bar.set_message(format!("{counts}, {alive} peers alive{killed}"));
    }

    pub(crate) fn close(&self) {
        self.bar.finish_and_clear();
    }
}
