//! The event log: reading it back.

use std::io::{BufRead as _, BufReader, Read};

use formic::LogLine;

/// What a log says, and how many of its lines say nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// In the order of their time.
    pub(crate) lines: Vec<LogLine>,
    /// Lines that are no event: cut off by a kill, or foreign.
    pub(crate) unreadable: usize,
}

/// Reads a log that several processes appended to.
pub(crate) fn read(source: impl Read) -> std::io::Result<Log> {
    let mut log = Log::default();
    for line in BufReader::new(source).split(b'\n') {
        let line = line?;
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(line) => log.lines.push(line),
            Err(_) => log.unreadable += 1,
        }
    }
    // Stable: what one process wrote in one microsecond stays in its order.
    log.lines.sort_by_key(|line| line.at_us);
    Ok(log)
}

/// Reads the log in a file.
pub(crate) fn read_file(path: &std::path::Path) -> std::io::Result<Log> {
    read(std::fs::File::open(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_line_is_counted_and_the_rest_is_sorted() {
        let text = "{\"at_us\":9,\"peer\":\"b.1\",\"event\":\"peer_stopped\"}\n\n{\"at_us\":3,\"pe\n\
                    {\"at_us\":5,\"peer\":\"a.1\",\"event\":\"run_finished\",\"verdict\":\"v\",\"exit\":0}\n";
        let log = read(text.as_bytes()).unwrap();
        assert_eq!(log.unreadable, 1);
        assert_eq!(log.lines.iter().map(|line| line.at_us).collect::<Vec<_>>(), [5, 9]);
    }
}
