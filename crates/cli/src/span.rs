use core::{fmt::Write as _, time::Duration};

/// Why a text is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no duration: expected e.g. 300ms, 2s, 15m or 1h30m")]
pub(crate) struct BadSpan {
    /// The refused text.
    pub(crate) text: String,
}

const UNITS: [(&str, u64); 5] =
    [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];

/// Reads a span of time: whole numbers, each with a unit of `us ms s m h`.
///
/// # Errors
/// [`BadSpan`]; a bare number has no unit and is refused.
pub(crate) fn parse_span(text: &str) -> Result<Duration, BadSpan> {
    let bad = || BadSpan { text: text.chars().take(80).collect() };
    let mut rest = text;
    let mut total_us: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let scale = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?.1;
        let number: u64 = number.parse().map_err(|_| bad())?;
        let part = number.checked_mul(scale).ok_or_else(bad)?;
        total_us = total_us.checked_add(part).ok_or_else(bad)?;
        rest = tail;
    }
    if text.is_empty() {
        return Err(bad());
    }
    Ok(Duration::from_micros(total_us))
}

/// A span for people: `340 ms`, `2.4 s`, `3 min 20 s`.
pub(crate) fn show_ms(ms: u64) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = match ms {
        0..1_000 => write!(text, "{ms} ms"),
        1_000..60_000 => write!(text, "{}.{:02} s", ms / 1_000, ms % 1_000 / 10),
        _ => write!(text, "{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        assert_eq!(parse_span("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(parse_span("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse_span("0s"), Ok(Duration::ZERO));
        for bad in
            ["", "3", "ms", "1.5s", "-1s", "2 s", "1d", "99999999999999999999s", "9999999999h"]
        {
            assert!(parse_span(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn spans_are_shown_in_fitting_units() {
        assert_eq!(show_ms(999), "999 ms");
        assert_eq!(show_ms(2_450), "2.45 s");
        assert_eq!(show_ms(200_000), "3 min 20 s");
    }
}
