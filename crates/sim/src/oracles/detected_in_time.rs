//! In good weather a live peer learns within 450 ms that a life it believed alive is dead.

use core::time::Duration;

use formic_core::Time;

/// The promise, and what clocks that differ by 2 % and a slow disk make of it.
pub const PROMISE: Duration = Duration::from_millis(450);
/// A clock may run 2 % slow, and a turn may wait this long for its disk.
pub const SLACK: Duration = Duration::from_millis(9 + 20);
/// What was lost this long before a death may still delay its verdict.
pub const WEATHER: Duration = Duration::from_millis(1_000);

/// Whether the promise holds for a death at `died`: good weather all along.
pub fn is_judged(died: Time, stormy: Option<Time>) -> bool {
    stormy.is_none_or(|stormy| stormy + WEATHER < died)
}

/// The observer does not believe any more that the dead life is alive.
///
/// # Errors
/// It does.
#[expect(clippy::fn_params_excessive_bools, reason = "what was believed is yes or no")]
pub fn at_promise(believed: bool, died: Time) -> Result<(), String> {
    if believed { Err(format!("it died at {died:?} and is still called up")) } else { Ok(()) }
}
