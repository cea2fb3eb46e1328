//! In good weather a live peer learns within 450 ms that a life it believed alive is dead; if others die or
//! begin at about the same time, within 1.1 s.

use core::time::Duration;

use formic_core::Time;

/// The promise, and what clocks that differ by 2 % and a slow disk make of it.
pub const PROMISE: Duration = Duration::from_millis(450);
/// A clock may run 2 % slow, and a turn may wait this long for its disk.
pub const SLACK: Duration = Duration::from_millis(9 + 20);
/// What was lost this long before a death may still delay its verdict.
pub const WEATHER: Duration = Duration::from_millis(1_000);

/// The promise where several die or begin at about the same time: observers are among them
/// (healing.md 1, many dead at once).
pub const PROMISE_TOGETHER: Duration = Duration::from_millis(1_100);
/// By then whoever begins is linked to all others: before, it waits 2 s for a first sign of life.
pub const BEGINNING: Duration = Duration::from_millis(500);

/// Which promise holds for a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// None: bad weather, or more than half of the peers died or began with it.
    Never,
    /// It died alone: [`PROMISE`].
    Alone,
    /// Not alone: [`PROMISE_TOGETHER`].
    Together,
}

/// Which promise holds for a death at `died`, of `peers`, of which `others` died or began at about the same time.
pub fn judged(died: Time, stormy: Option<Time>, (others, peers): (usize, usize)) -> Judged {
    if stormy.is_some_and(|stormy| stormy + WEATHER >= died) {
        return Judged::Never;
    }
    match others {
        0 => Judged::Alone,
        _ if others * 2 < peers => Judged::Together,
        _ => Judged::Never,
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
