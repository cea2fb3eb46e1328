//! In good weather a live peer learns within 450 ms that a life it believed alive is dead; if others die
//! at about the same time, or dead ones are still members, within 1.1 s, and if somebody has just begun
//! within 3.1 s of that: it waits for a first sign of life of each member.

use core::time::Duration;

use formic_core::Time;

/// The promise, and what clocks that differ by 2 % and a slow disk make of it.
pub const PROMISE: Duration = Duration::from_millis(450);
/// A clock may run 2 % slow, and a turn may wait this long for its disk.
pub const SLACK: Duration = Duration::from_millis(9 + 20);
/// What was lost this long before a death may still delay its verdict.
pub const WEATHER: Duration = Duration::from_millis(1_000);

/// The promise where several die at about the same time, or are dead and no view is without them yet:
/// observers are among them (healing.md 1, many dead at once).
pub const PROMISE_TOGETHER: Duration = Duration::from_millis(1_100);
/// So long whoever begins waits for a first sign of life of each member.
pub const BEGINNING: Duration = Duration::from_millis(2_000);
/// The promise where somebody had just begun, from then on.
pub const PROMISE_BEGINNING: Duration = Duration::from_millis(3_100);

/// Which promise holds for a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// None: bad weather, or half of the peers died with it.
    Never,
    /// It died alone: [`PROMISE`].
    Alone,
    /// Not alone: [`PROMISE_TOGETHER`].
    Together,
    /// Somebody had just begun: [`PROMISE_BEGINNING`].
    Beginning,
}

impl Judged {
    /// Within what; `None`: it is not judged.
    pub const fn promise(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Alone => Some(PROMISE),
            Self::Together => Some(PROMISE_TOGETHER),
            Self::Beginning => Some(PROMISE_BEGINNING),
        }
    }
}

/// Who died or began so near to a death that its verdict may come later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Company {
    /// All peers.
    pub peers: usize,
    /// Others that died, were dead members already, or stood still.
    pub missing: usize,
    /// Others that began, and the dead one itself if it had just begun.
    pub began: usize,
}

/// Which promise holds for a death at `died`.
pub fn judged(died: Time, stormy: Option<Time>, company: Company) -> Judged {
    let Company { peers, missing, began } = company;
    if stormy.is_some_and(|stormy| stormy + WEATHER >= died) || missing * 2 >= peers {
        return Judged::Never;
    }
    match (missing, began) {
        (0, 0) => Judged::Alone,
        (_, 0) => Judged::Together,
        _ => Judged::Beginning,
    }
}

/// The observer does not believe any more that the dead life is alive.
///
/// # Errors
/// It does.
#[expect(clippy::fn_params_excessive_bools, reason = "what was believed is yes or no")]
pub fn at_promise(believed: bool, died: Time) -> Result<(), String> {
    if believed { Err(format!("it died at {died:?} and is still called up")) } else { Ok(()) }
}
