//! Faults as data: what may go wrong, and how it is written.

use core::{fmt, str::FromStr, time::Duration};

use super::text::{BadPlan, List, Seconds, arguments, list, number, seconds};

/// Whether a process that comes back has its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disk {
    /// The same identity, in its next incarnation, with what was durable.
    Kept,
    /// A new identity that knows nothing.
    Lost,
}

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process dies, with all peers in it, in the middle of a turn.
    Crash {
        /// One of its peers.
        peer: usize,
        /// When it comes back, and how.
        back: Option<(Duration, Disk)>,
    },
    /// Several processes die at the same moment.
    CrashAll {
        /// One peer of each.
        peers: Vec<usize>,
        /// When they come back, and how.
        back: Option<(Duration, Disk)>,
    },
    /// One peer of a process is dropped; the others of the process go on.
    Drop {
        /// Who.
        peer: usize,
        /// When it comes back, and how.
        back: Option<(Duration, Disk)>,
    },
    /// A process stands still: what arrives waits, deadlines come late.
    Freeze {
        /// One of its peers.
        peer: usize,
        /// How long.
        span: Duration,
    },
    /// A process's clock runs this much too fast or slow from now on.
    Skew {
        /// One of its peers.
        peer: usize,
        /// Parts in a million.
        rate: i64,
    },
    /// Packets are lost: unreliable messages for good, others come late.
    Loss {
        /// How many, in permille.
        permille: u64,
        /// How long.
        span: Duration,
    },
    /// Unreliable messages overtake each other.
    Reorder {
        /// How many, in permille.
        permille: u64,
        /// How long.
        span: Duration,
    },
    /// Some messages take much longer, and what comes after them on the same stream too.
    Late {
        /// How many, in permille.
        permille: u64,
        /// How much longer at most.
        extra: Duration,
        /// How long.
        span: Duration,
    },
    /// Links come up at one end only.
    Half {
        /// How many, in permille.
        permille: u64,
        /// How long.
        span: Duration,
    },
    /// Two sides cannot reach each other; who is on neither reaches both.
    Partition {
        /// One side.
        left: Vec<usize>,
        /// The other.
        right: Vec<usize>,
        /// How long.
        span: Duration,
    },
    /// Nothing gets from one side to the other.
    OneWay {
        /// Who is not heard.
        from: Vec<usize>,
        /// Who does not hear.
        to: Vec<usize>,
        /// How long.
        span: Duration,
    },
    /// Two peers cannot reach each other, can, cannot...
    Flap {
        /// One.
        left: usize,
        /// The other.
        right: usize,
        /// How long each state lasts.
        every: Duration,
        /// How long it goes on.
        span: Duration,
    },
    /// The link between two peers breaks: what is on its way is lost.
    Reset {
        /// One.
        left: usize,
        /// The other.
        right: usize,
    },
    /// A peer leaves in good order.
    Leave {
        /// Who.
        peer: usize,
    },
    /// Somebody cancels a job.
    Cancel {
        /// Its number in the plan.
        job: usize,
        /// At which peer.
        peer: usize,
    },
    /// Somebody submits a job once more.
    Again {
        /// Its number in the plan.
        job: usize,
        /// At which peer.
        peer: usize,
    },
}

/// The kinds that `--faults` names, in the order in which they are printed.
pub const KINDS: [&str; 15] = [
    "crash",
    "crashall",
    "drop",
    "freeze",
    "skew",
    "loss",
    "reorder",
    "late",
    "half",
    "partition",
    "oneway",
    "flap",
    "reset",
    "leave",
    "people",
];

impl Fault {
    /// Its kind, one of [`KINDS`].
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "crash",
            Self::CrashAll { .. } => "crashall",
            Self::Drop { .. } => "drop",
            Self::Freeze { .. } => "freeze",
            Self::Skew { .. } => "skew",
            Self::Loss { .. } => "loss",
            Self::Reorder { .. } => "reorder",
            Self::Late { .. } => "late",
            Self::Half { .. } => "half",
            Self::Partition { .. } => "partition",
            Self::OneWay { .. } => "oneway",
            Self::Flap { .. } => "flap",
            Self::Reset { .. } => "reset",
            Self::Leave { .. } => "leave",
            Self::Cancel { .. } | Self::Again { .. } => "people",
        }
    }

    /// How long it lasts, comings back included.
    pub fn span(&self) -> Duration {
        match self {
            Self::Crash { back, .. } | Self::CrashAll { back, .. } | Self::Drop { back, .. } => {
                back.map_or(Duration::ZERO, |(after, _)| after)
            }
            Self::Freeze { span, .. }
            | Self::Loss { span, .. }
            | Self::Reorder { span, .. }
            | Self::Late { span, .. }
            | Self::Half { span, .. }
            | Self::Partition { span, .. }
            | Self::OneWay { span, .. }
            | Self::Flap { span, .. } => *span,
            Self::Skew { .. }
            | Self::Reset { .. }
            | Self::Leave { .. }
            | Self::Cancel { .. }
            | Self::Again { .. } => Duration::ZERO,
        }
    }
}

struct Back(Option<(Duration, Disk)>);

impl fmt::Display for Back {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some((after, Disk::Kept)) => write!(f, ", back {}", Seconds(after)),
            Some((after, Disk::Lost)) => write!(f, ", blank {}", Seconds(after)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash { peer, back } => write!(f, "crash({peer}{})", Back(*back)),
            Self::CrashAll { peers, back } => write!(f, "crashall({}{})", List(peers), Back(*back)),
            Self::Drop { peer, back } => write!(f, "drop({peer}{})", Back(*back)),
            Self::Freeze { peer, span } => write!(f, "freeze({peer}, {})", Seconds(*span)),
            Self::Skew { peer, rate } => write!(f, "skew({peer}, {rate})"),
            Self::Loss { permille, span } => write!(f, "loss({permille}, {})", Seconds(*span)),
            Self::Reorder { permille, span } => {
                write!(f, "reorder({permille}, {})", Seconds(*span))
            }
            Self::Late { permille, extra, span } => {
                write!(f, "late({permille}, {}, {})", Seconds(*extra), Seconds(*span))
            }
            Self::Half { permille, span } => write!(f, "half({permille}, {})", Seconds(*span)),
            Self::Partition { left, right, span } => {
                write!(f, "partition({} | {}, {})", List(left), List(right), Seconds(*span))
            }
            Self::OneWay { from, to, span } => {
                write!(f, "oneway({} > {}, {})", List(from), List(to), Seconds(*span))
            }
            Self::Flap { left, right, every, span } => {
                write!(f, "flap({left} {right}, {}, {})", Seconds(*every), Seconds(*span))
            }
            Self::Reset { left, right } => write!(f, "reset({left} {right})"),
            Self::Leave { peer } => write!(f, "leave({peer})"),
            Self::Cancel { job, peer } => write!(f, "cancel({job}, {peer})"),
            Self::Again { job, peer } => write!(f, "again({job}, {peer})"),
        }
    }
}

fn back(words: &[&str]) -> Result<Option<(Duration, Disk)>, BadPlan> {
    match words {
        [] => Ok(None),
        [one] => match one.split_once(' ') {
            Some(("back", after)) => Ok(Some((seconds(after)?, Disk::Kept))),
            Some(("blank", after)) => Ok(Some((seconds(after)?, Disk::Lost))),
            _ => Err(BadPlan::expected("back SECONDS or blank SECONDS", one)),
        },
        [_, more, ..] => Err(BadPlan::expected("no more", more)),
    }
}

fn sides(text: &str, between: char) -> Result<(Vec<usize>, Vec<usize>), BadPlan> {
    let (left, right) =
        text.split_once(between).ok_or_else(|| BadPlan::expected("two sides", text))?;
    Ok((list(left)?, list(right)?))
}

fn pair(text: &str) -> Result<(usize, usize), BadPlan> {
    match list(text)?.as_slice() {
        [left, right] => Ok((*left, *right)),
        _ => Err(BadPlan::expected("two peers", text)),
    }
}

impl FromStr for Fault {
    type Err = BadPlan;

    fn from_str(text: &str) -> Result<Self, BadPlan> {
        let (name, words) = arguments(text)?;
        let fault = match (name, words.as_slice()) {
            ("crash", [peer, rest @ ..]) => Self::Crash { peer: number(peer)?, back: back(rest)? },
            ("crashall", [peers, rest @ ..]) => {
                Self::CrashAll { peers: list(peers)?, back: back(rest)? }
            }
            ("drop", [peer, rest @ ..]) => Self::Drop { peer: number(peer)?, back: back(rest)? },
            ("freeze", [peer, span]) => Self::Freeze { peer: number(peer)?, span: seconds(span)? },
            ("skew", [peer, rate]) => Self::Skew { peer: number(peer)?, rate: number(rate)? },
            ("loss", [permille, span]) => {
                Self::Loss { permille: number(permille)?, span: seconds(span)? }
            }
            ("reorder", [permille, span]) => {
                Self::Reorder { permille: number(permille)?, span: seconds(span)? }
            }
            ("late", [permille, extra, span]) => {
                let (extra, span) = (seconds(extra)?, seconds(span)?);
                Self::Late { permille: number(permille)?, extra, span }
            }
            ("half", [permille, span]) => {
                Self::Half { permille: number(permille)?, span: seconds(span)? }
            }
            ("partition", [both, span]) => {
                let (left, right) = sides(both, '|')?;
                Self::Partition { left, right, span: seconds(span)? }
            }
            ("oneway", [both, span]) => {
                let (from, to) = sides(both, '>')?;
                Self::OneWay { from, to, span: seconds(span)? }
            }
            ("flap", [both, every, span]) => {
                let (left, right) = pair(both)?;
                Self::Flap { left, right, every: seconds(every)?, span: seconds(span)? }
            }
            ("reset", [both]) => {
                let (left, right) = pair(both)?;
                Self::Reset { left, right }
            }
            ("leave", [peer]) => Self::Leave { peer: number(peer)? },
            ("cancel", [job, peer]) => Self::Cancel { job: number(job)?, peer: number(peer)? },
            ("again", [job, peer]) => Self::Again { job: number(job)?, peer: number(peer)? },
            _ => return Err(BadPlan::expected("a fault", text)),
        };
        Ok(fault)
    }
}
