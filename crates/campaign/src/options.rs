use core::num::NonZeroUsize;
use std::{
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use formic_sim::node::{Kinds, Scenario};

use crate::Failure;

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Whole nodes.
    Node,
    /// Completion alone.
    Completion,
    /// Consensus alone, with liars.
    Consensus,
    /// Whole nodes in a scenario that is written, not drawn.
    Scenario(Scenario),
}

impl Profile {
    /// How it is called on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Completion => "completion",
            Self::Consensus => "consensus",
            Self::Scenario(scenario) => scenario.name(),
        }
    }
}

/// Which seeds of what, on how many threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What is simulated.
    pub profile: Profile,
    /// How many seeds.
    pub seeds: u64,
    /// The first of them.
    pub first: u64,
    /// Threads.
    pub jobs: usize,
    /// Faults of the node profile.
    pub kinds: Kinds,
    /// Whether the report is one JSON object.
    pub json: bool,
    /// When the campaign ends.
    pub until: Until,
}

/// When a campaign ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After all seeds.
    Last,
    /// After the first seed that violates a claim.
    Violation,
}

impl Options {
    /// 2,000 seeds from 1 on, on all cores.
    pub fn new(profile: Profile) -> Self {
        let jobs = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            profile,
            seeds: 2_000,
            first: 1,
            jobs,
            kinds: Kinds::all(),
            json: false,
            until: Until::Last,
        }
    }

    /// Seeds that no earlier campaign had, most likely.
    pub fn freshen(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.first = u64::from(now.subsec_nanos()) << 31 ^ now.as_secs();
    }

    pub(crate) fn parse(words: &[&str]) -> Result<Self, Failure> {
        let mut options = Self::new(Profile::Node);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words.next().copied().ok_or_else(|| Failure::usage(format!("{word} takes a value")))
            };
            match *word {
                "node" => options.profile = Profile::Node,
                "completion" => options.profile = Profile::Completion,
                "consensus" => options.profile = Profile::Consensus,
                "--seeds" => options.seeds = number(word, value()?)?,
                "--first" => options.first = number(word, value()?)?,
                "--jobs" => options.jobs = number::<usize>(word, value()?)?.clamp(1, 1_024),
                "--fresh" => options.freshen(),
                "--json" => options.json = true,
                "--stop" => options.until = Until::Violation,
                "--faults" => {
                    let text = value()?;
                    options.kinds = Kinds::parse(text).map_err(|why| unknown_kinds(&why))?;
                }
                word => {
                    let unknown = || Failure::usage(format!("unknown word {word:?}"));
                    let scenario = Scenario::named(word).ok_or_else(unknown)?;
                    options.profile = Profile::Scenario(scenario);
                }
            }
        }
        if options.profile != Profile::Node && options.kinds != Kinds::all() {
            return Err(Failure::usage("--faults belongs to the node profile".to_owned()));
        }
        if options.first.checked_add(options.seeds).is_none() {
            return Err(Failure::usage(
                "--first plus --seeds is above the largest seed".to_owned(),
            ));
        }
        Ok(options)
    }
}

fn unknown_kinds(why: &impl core::fmt::Display) -> Failure {
    let known = formic_sim::node::KINDS.join(", ");
    Failure::usage(format!("--faults: {why}; all, none, or some of {known}"))
}

pub(crate) fn number<T: core::str::FromStr>(name: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::usage(format!("{name} takes a whole number, not {text:?}")))
}
