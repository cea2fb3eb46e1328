use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// One line of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line without its newline; at the end of the stream also one that has none.
    Whole(Vec<u8>),
    /// A line over the limit: what was read of it is gone, the rest is discarded while it streams.
    TooLong,
}

/// Splits a stream into lines without ever keeping more than the limit.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    limit: usize,
    discarding: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Self { input: BufReader::with_capacity(16 << 10, input), limit, discarding: false }
    }

    /// The next line; `None` at the end. Not cancel-safe: a dropped call loses what it has read of a line.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        loop {
            let chunk = self.input.fill_buf().await?;
            if chunk.is_empty() {
                return Ok((!line.is_empty()).then_some(Line::Whole(line)));
            }
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let taken = newline.unwrap_or(chunk.len());
            let over = !self.discarding && line.len() + taken > self.limit;
            if !self.discarding && !over {
                line.extend_from_slice(chunk.get(..taken).unwrap_or_default());
            }
            self.input.consume(newline.map_or(taken, |at| at + 1));
            if over {
                self.discarding = newline.is_none();
                return Ok(Some(Line::TooLong));
            }
            if newline.is_some() && !core::mem::take(&mut self.discarding) {
                return Ok(Some(Line::Whole(line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Lines};

    async fn split(input: &[u8], limit: usize) -> Vec<Line> {
        let mut lines = Lines::new(input, limit);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        found
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn lines_end_at_newlines_and_at_the_end() {
        assert_eq!(split(b"a\n\nbc", 9).await, [whole("a"), whole(""), whole("bc")]);
        assert_eq!(split(b"", 9).await, []);
    }

    #[tokio::test]
    async fn a_line_of_the_limit_passes_and_a_longer_one_is_discarded() {
        assert_eq!(split(b"abc\nabcd\nef\n", 3).await, [whole("abc"), Line::TooLong, whole("ef")]);
        let long = [vec![b'x'; 100_000], b"\nnext\n".to_vec()].concat();
        assert_eq!(split(&long, 40_000).await, [Line::TooLong, whole("next")]);
    }
}
