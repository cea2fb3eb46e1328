//! Rare situations, recognised from inputs, effects and what the world did: a campaign that never gets
//! there proves nothing about them.

macro_rules! marks {
    ($($name:ident $text:literal $what:literal,)*) => {
        /// A situation worth getting into.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark {
            $(#[doc = $what] $name,)*
        }

        impl Mark {
            /// All of them, in the order in which they are printed.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// How it is called in plans and reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

marks! {
    Accepted "accepted" "A job was acknowledged.",
    TookOver "took-over" "A home life above rank 0 took over.",
    HomeChanged "home-changed" "A job got another home group.",
    Respawned "respawned" "A lost child was given to another peer.",
    Divergent "divergent" "A second, different result of a task was seen.",
    Dropped "dropped" "A task was dropped because nobody waits for it.",
    Complete "complete" "All work was covered and the result decided.",
    Excluded "excluded" "A verdict excludes somebody.",
    Cancelled "cancelled" "A job ended as cancelled.",
    DiesComplete "dies-complete" "Who said `Complete` died before it knew the verdict.",
    RestoredOpen "restored-open" "A life came back with an open job.",
    RestoredClosed "restored-closed" "A life came back with the verdict of a job.",
    FalseDown "false-down" "A live peer was believed dead.",
    UpAgain "up-again" "A life that was believed dead was heard again.",
    Silent "silent" "A dead peer was noticed by its silence.",
    Gone "gone" "A death inside one process was noticed at once.",
    Restarted "restarted" "A life was noticed dead because its successor spoke.",
    LeftGood "left" "A farewell was heard.",
    Stalled "stalled" "A peer stood still for longer than the detector's timeout.",
    Rejoined "rejoined" "A restarted life was welcomed by a mesh it had been in.",
    NewIdentity "new-identity" "A peer came back without its disk.",
    LateJoin "late-join" "A peer joined while a job ran.",
    LeftBusy "left-busy" "A peer left while it ran a body.",
    DialTimedOut "dial-timed-out" "A dial across a cut or to a dead peer ran out of time.",
    DoubleDial "double-dial" "Two peers dialled each other at the same time.",
    OneSideUp "one-side-up" "A link was up at one end only.",
    LinkLost "link-lost" "A link broke with messages on their way.",
    Refused "refused" "A peer that could not host a job said so.",
    Returned "returned" "A task was given back by the peer it was sent to.",
    Waited "waited" "A body gave its slot back and got one again.",
    Aborted "aborted" "A running body was stopped.",
    RunTwice "run-twice" "A task was executed more than once.",
    Withheld "withheld" "A spawn was acknowledged late because too much was held.",
    Exclusive "exclusive" "A body of an exclusive task started.",
    Held "held" "An exclusive task waited for the lease of its last holder.",
    LeaseLost "lease-lost" "The lease of an exclusive task ended before its body.",
    Adopted "adopted" "The result of an exclusive task was taken over from another holder.",
    CutDuringJob "cut-during-job" "The mesh was cut while a job ran.",
    TornTurn "torn-turn" "A process died between the records of one turn.",
    HalfTurn "half-turn" "A process died between the effects of one turn.",
    ViewCommitted "view" "A view was committed.",
    ViewDuringJob "view-during-job" "A view was committed while a job ran.",
    Reborn "reborn" "A live peer found itself evicted and went on as its next life.",
    Suspected "suspected" "A peer missed another for a while.",
    QuorumLost "quorum-lost" "A peer was without a majority.",
    QuorumBack "quorum-back" "A peer had a majority again.",
    LostTogether "lost-together" "Several members died within half a second.",
    AllDown "all-down" "Every peer was dead at the same time.",
}

impl Mark {
    /// The mark of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mark| mark.name() == name)
    }
}

/// How many runs reached each mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks([u64; Mark::ALL.len()]);

impl Default for Marks {
    fn default() -> Self {
        Self([0; Mark::ALL.len()])
    }
}

impl Marks {
    /// Counts it; true the first time.
    pub(crate) fn reach(&mut self, mark: Mark) -> bool {
        let count = &mut self.0[mark as usize];
        *count += 1;
        *count == 1
    }

    /// Adds one run: each mark it reached counts once.
    pub(crate) fn add_run(&mut self, run: &Self) {
        for (sum, one) in self.0.iter_mut().zip(run.0) {
            *sum += u64::from(one > 0);
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, one)| *sum += one);
    }

    /// How many runs reached it.
    pub const fn count(&self, mark: Mark) -> u64 {
        self.0[mark as usize]
    }

    /// Those that no run reached.
    pub fn missing(&self) -> Vec<Mark> {
        Mark::ALL.iter().copied().filter(|mark| self.count(*mark) == 0).collect()
    }
}
