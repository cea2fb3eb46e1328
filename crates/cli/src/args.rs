use core::{str::FromStr, time::Duration};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use formic_core::{Capability, PeerId};
use formic_identity::PublicKey;

use crate::{
    mesh_key::public_key,
    run::cuts::Partition,
    span::{BadSpan, parse_span},
};

/// Peer-to-peer coordination for fleets of agents: no coordinator, nothing lost, done is proved.
#[derive(Debug, Parser)]
#[command(name = "formic", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Says more on stderr: -v what happens, -vv every step. RUST_LOG overrides it.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start peers, run a plan, prove that it is done, print the report.
    Run(RunArgs),
    /// Run one peer of a mesh on this host until Ctrl-C.
    Peer(PeerArgs),
    /// Run a plan on an existing mesh.
    Submit(SubmitArgs),
    /// Show peers, load and jobs of a mesh.
    Status(StatusArgs),
    /// Tell what happened in a run and why: who waited, who respawned what, why it stopped.
    Why(WhyArgs),
    /// Check a completion certificate offline.
    Verify(VerifyArgs),
    /// Run a shipped example worker.
    Example {
        /// Which.
        #[command(subcommand)]
        example: Example,
    },
    /// Check whether this host is ready, and what a plan needs.
    Doctor(DoctorArgs),
    /// Print shell completions.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the man page.
    Man,
    /// Starts an agent so that it dies with its peer.
    #[command(name = "__exec", hide = true)]
    Exec {
        /// Program and arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<std::ffi::OsString>,
    },
    /// Run seeded simulations of the whole mesh; `formic sim help` tells the words.
    #[command(disable_help_flag = true)]
    Sim {
        /// What to simulate.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Decide who belongs to a mesh beyond one host.
    Ca {
        /// What.
        #[command(subcommand)]
        ca: CaCommand,
    },
    /// Decisions of an operator about a mesh as a whole.
    Mesh {
        /// Which.
        #[command(subcommand)]
        mesh: MeshCommand,
    },
    /// Pause sessions.
    #[command(hide = true)]
    Pause(Later),
    /// Resume sessions.
    #[command(hide = true)]
    Resume(Later),
    /// List and fork sessions.
    #[command(hide = true)]
    Session(Later),
    /// Store and read artifacts.
    #[command(hide = true)]
    Artifact(Later),
}

/// What an authority does.
#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Make the authority of a new mesh.
    Init {
        /// Its directory. Whoever reads it can make members.
        dir: PathBuf,
        /// How long it can make members.
        #[arg(long, value_name = "DURATION", value_parser = parse_span, default_value = "8760h")]
        valid: Duration,
    },
    /// Print the public key of a peer, to be made a member.
    Key {
        /// The peer's state directory; made if it is not there.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
    },
    /// Make a peer or a client a member: writes the file for its --mesh-key.
    Issue(Box<IssueArgs>),
    /// List the members that were made, one JSON object a line.
    List {
        /// The authority's directory.
        dir: PathBuf,
    },
}

/// Arguments of `formic ca issue`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whom").required(true).args(["key", "client"]))]
pub(crate) struct IssueArgs {
    /// The authority's directory.
    pub(crate) dir: PathBuf,
    /// The public key of a peer, as `formic ca key` prints it.
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    pub(crate) key: Option<PublicKey>,
    /// Make a new client, e.g. for `formic submit`: the file has its secret key.
    #[arg(long)]
    pub(crate) client: bool,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// For how long.
    #[arg(long, value_name = "DURATION", value_parser = parse_span, default_value = "720h")]
    pub(crate) valid: Duration,
}

/// What an operator decides.
#[derive(Debug, Subcommand)]
pub(crate) enum MeshCommand {
    /// Go on without a majority that is lost for ever: the named members become the whole mesh.
    ///
    /// Refused while a majority is in touch. All named members must agree that none is. The decision
    /// is kept in the chain of views; if the others live after all, the forced view wins over theirs.
    ForceView(ForceViewArgs),
}

/// Arguments of `formic mesh force-view`.
#[derive(Debug, Args)]
pub(crate) struct ForceViewArgs {
    /// A member that is left.
    #[arg(long, value_name = "ADDR")]
    pub(crate) join: String,
    /// A client's certificate, for a mesh beyond one host.
    #[arg(long, value_name = "FILE")]
    pub(crate) mesh_key: Option<PathBuf>,
    /// All members that are left, by name or by the beginning of their id, with commas between.
    #[arg(long, value_name = "A,B", value_delimiter = ',', required = true)]
    pub(crate) members: Vec<String>,
    /// The last committed view, as `formic status` shows it: a later one refuses.
    #[arg(long, value_name = "E")]
    pub(crate) epoch: u64,
    /// Why, for whoever reads the chain of views.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// A command whose system this version does not have: everything behind it is read and refused.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<std::ffi::OsString>,
}

/// The shipped example workers.
#[derive(Debug, Subcommand)]
pub(crate) enum Example {
    /// Hash a directory tree: every directory is a task that spawns its children.
    ///
    /// Without --local it is the worker: it speaks the formic agent protocol v1 on stdin and stdout.
    Treehash {
        /// Hash this directory in one process and print the result.
        #[arg(long, value_name = "DIR")]
        local: Option<PathBuf>,
    },
}

/// Arguments of `formic run`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct RunArgs {
    /// The plan, a YAML file.
    pub(crate) plan: PathBuf,
    /// Only check the plan.
    #[arg(long)]
    pub(crate) check: bool,
    /// Peers to start [default: as many as the plan has agents, 4 if it has none].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) peers: Option<u32>,
    /// How peers talk: in this process, or one OS process each over QUIC on loopback.
    #[arg(long, value_enum, default_value_t = TransportKind::Memory)]
    pub(crate) transport: TransportKind,
    /// Use the mesh that this peer belongs to instead of starting peers.
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["peers", "transport", "kill", "state"])]
    pub(crate) join: Vec<String>,
    /// A client's certificate, for a mesh beyond one host.
    #[arg(long, value_name = "FILE", requires = "join")]
    pub(crate) mesh_key: Option<PathBuf>,
    /// Shape of the mesh: auto and mesh mean everybody to everybody.
    #[arg(long, value_name = "SHAPE", default_value = "auto")]
    pub(crate) topology: String,
    /// An input of the plan; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) input: Vec<(String, String)>,
    /// Chaos: kill N random peers (or `home`, the peer that hosts the job) TIME after the job was
    /// accepted, e.g. 2@300ms; may be given several times. The job's home group (up to 7 peers) is
    /// not spared: once most of it is dead the job ends with exit 4, and goes on from --state.
    #[arg(long, value_name = "N@TIME")]
    pub(crate) kill: Vec<Kill>,
    /// Chaos: cut the network into parts of A and B peers TIME after the job was accepted, for
    /// DURATION, e.g. '6|4@500ms+10s'; who is where is drawn from the seed. Needs --transport quic.
    #[arg(long, value_name = "A|B@TIME+DURATION", conflicts_with = "join")]
    pub(crate) partition: Vec<Partition>,
    /// Seed of the chaos [default: random, printed].
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// Keep state here: after a crash of everything the same command goes on with the job.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Stop after this time, e.g. 90s or 15m.
    #[arg(long, value_name = "DURATION", value_parser = parse_span)]
    pub(crate) timeout: Option<Duration>,
    /// Append everything that happens to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// Write the completion certificate here.
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// Print the report as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress, no report: only the result, and errors.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) later: RunLater,
}

/// Flags of `formic run` that this version refuses.
#[derive(Debug, Args)]
pub(crate) struct RunLater {
    #[arg(long, hide = true, value_name = "TOKENS")]
    pub(crate) budget: Option<String>,
}

/// Arguments of `formic peer`.
#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    /// Where to listen, IP:PORT; port 0 takes a free one, which is printed. Beyond loopback only with
    /// --mesh-key.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: String,
    /// Where the mesh to join may be found: IP:PORT of a peer, dns:NAME:PORT for all addresses of
    /// a name, or mdns[:NAME] for peers of this host that are announced; may be given several times.
    /// Without it, this peer founds a mesh.
    #[arg(long, value_name = "ADDR")]
    pub(crate) join: Vec<String>,
    /// Let peers that --join mdns[:NAME] find this one: by multicast, on this host.
    #[arg(long, value_name = "mdns[:NAME]")]
    pub(crate) announce: Option<String>,
    /// Its name in logs and status [default: peer-PORT].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Its certificate, made by `formic ca issue`: only members of the same mesh are linked.
    #[arg(long, value_name = "FILE", requires = "state")]
    pub(crate) mesh_key: Option<PathBuf>,
    /// What this peer can do; may be given several times.
    #[arg(long, value_name = "C", value_parser = capability)]
    pub(crate) capability: Vec<Capability>,
    /// Tasks at once [default: the processors of this host].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) slots: Option<u32>,
    /// An agent of its own: ADAPTER or ADAPTER:COMMAND LINE, e.g. 'jsonl:formic example treehash'.
    /// Without one, it runs the agents that plans bring.
    #[arg(long, value_name = "ADAPTER[:CONFIG]")]
    pub(crate) agent: Option<String>,
    /// Keep state here: identity, and what it is home for.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Append everything that happens to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// Microseconds of the boot clock that the event log counts from.
    #[arg(long, hide = true, value_name = "US")]
    pub(crate) epoch_us: Option<u64>,
    /// Folder for the tasks' own folders.
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,
    /// Stop when stdin ends: a launcher holds the other end.
    #[arg(long, hide = true)]
    pub(crate) tied: bool,
    #[command(flatten)]
    pub(crate) later: PeerLater,
}

/// Flags of `formic peer` that this version refuses.
#[derive(Debug, Args)]
pub(crate) struct PeerLater {
    #[arg(long, hide = true, value_name = "ADDR")]
    pub(crate) metrics: Option<String>,
}

/// Arguments of `formic submit`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct SubmitArgs {
    /// The plan, a YAML file. Relative paths in it are relative to where the peers run.
    pub(crate) plan: PathBuf,
    /// A peer of the mesh.
    #[arg(long, value_name = "ADDR", required = true)]
    pub(crate) join: Vec<String>,
    /// A client's certificate, for a mesh beyond one host.
    #[arg(long, value_name = "FILE")]
    pub(crate) mesh_key: Option<PathBuf>,
    /// Print the job's id once it is accepted, and leave.
    #[arg(long)]
    pub(crate) detach: bool,
    /// An input of the plan; may be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) input: Vec<(String, String)>,
    /// Stop waiting after this time.
    #[arg(long, value_name = "DURATION", value_parser = parse_span)]
    pub(crate) timeout: Option<Duration>,
    /// Write the completion certificate here.
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// Print the report as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Only the result, and errors.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Arguments of `formic status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// A peer of the mesh [default: the mesh of the latest `formic peer` on this host].
    #[arg(long, value_name = "ADDR")]
    pub(crate) join: Vec<String>,
    /// A client's certificate, for a mesh beyond one host.
    #[arg(long, value_name = "FILE")]
    pub(crate) mesh_key: Option<PathBuf>,
    /// What that peer has learned: who does which kind of work how well.
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, default_missing_value = "table")]
    pub(crate) trails: Option<TrailsFormat>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How `formic status --trails` shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TrailsFormat {
    /// One line for each kind and peer.
    Table,
    /// A graph for Graphviz.
    Dot,
    /// A graph for Mermaid.
    Mermaid,
}

/// Arguments of `formic why`.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// A job or a task: its id, the beginning of it, or a task's name [default: the last run].
    #[arg(value_name = "JOB|TASK")]
    pub(crate) what: Option<String>,
    /// The event log to read [default: that of the run].
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
}

/// Arguments of `formic verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The certificate of a job, or a decision of voters: a JSON file.
    pub(crate) certificate: PathBuf,
    /// The electorate whose decision it must be: the digest that the report of the job showed. For decisions of voters.
    #[arg(long, value_name = "DIGEST", conflicts_with_all = ["peer", "plan"])]
    pub(crate) electorate: Option<formic_core::Digest>,
    /// Accept only signatures of these peers; without it the file itself says who signed.
    #[arg(long, value_name = "PEERID")]
    pub(crate) peer: Vec<PeerId>,
    /// The plan the certificate must be about.
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
    /// An input of that plan.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, requires = "plan")]
    pub(crate) input: Vec<(String, String)>,
}

/// Arguments of `formic doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Also check that the agents of this plan can start here.
    pub(crate) plan: Option<PathBuf>,
    /// An input of the plan.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, requires = "plan")]
    pub(crate) input: Vec<(String, String)>,
    /// A state directory to check.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// How peers of one `formic run` talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportKind {
    /// In this process.
    Memory,
    /// One OS process each, over QUIC on loopback.
    Quic,
}

impl TransportKind {
    /// Its name in reports.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Quic => "quic",
        }
    }
}

/// Chaos: whom to kill, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    /// Whom.
    pub(crate) whom: Victims,
    /// How long after the job was accepted.
    pub(crate) after: Duration,
}

/// Whom to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victims {
    /// So many, at random.
    Random(u32),
    /// The peer that hosts the job.
    Home,
}

/// Why a text is no `--kill`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BadKill {
    /// No `@`, or no number before it.
    #[error("expected N@TIME or home@TIME, e.g. 2@300ms")]
    Shape,
    /// The time is none.
    #[error(transparent)]
    Time(#[from] BadSpan),
}

impl FromStr for Kill {
    type Err = BadKill;

    fn from_str(text: &str) -> Result<Self, BadKill> {
        let (whom, after) = text.split_once('@').ok_or(BadKill::Shape)?;
        let whom = match (whom, whom.parse()) {
            ("home", _) => Victims::Home,
            (_, Ok(count)) if count > 0 => Victims::Random(count),
            _ => return Err(BadKill::Shape),
        };
        Ok(Self { whom, after: parse_span(after)? })
    }
}

fn key_value(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE"),
    }
}

fn capability(text: &str) -> Result<Capability, formic_core::BadCapability> {
    text.parse()
}
