use formic::AgentError;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Enough for any value and for a useful quote.
const KEPT_MAX: usize = 64 << 10;

/// What a program wrote.
#[derive(Debug)]
pub(super) struct Captured {
    pub(super) stdout: Capture,
    pub(super) stderr: Capture,
}

impl Captured {
    pub(super) fn new(limit: usize) -> Self {
        let stdout = Capture { name: "stdout", part: Part::Head, limit, kept: Vec::new(), seen: 0 };
        let stderr = Capture { name: "stderr", part: Part::Tail, limit, kept: Vec::new(), seen: 0 };
        Self { stdout, stderr }
    }
}

#[derive(Debug)]
enum Part {
    Head,
    Tail,
}

/// A bounded part of a stream, and its whole size.
#[derive(Debug)]
pub(super) struct Capture {
    name: &'static str,
    part: Part,
    limit: usize,
    kept: Vec<u8>,
    seen: u64,
}

impl Capture {
    pub(super) const fn seen(&self) -> u64 {
        self.seen
    }

    pub(super) fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// The last lines of at most `size` bytes together.
    pub(super) fn tail(&self, size: usize) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let text = text.trim_end();
        if text.len() <= size {
            return text.to_owned();
        }
        let from = (text.len() - size..text.len()).find(|at| text.is_char_boundary(*at));
        let cut = from.and_then(|at| text.get(at..)).unwrap_or_default();
        cut.split_once('\n').map_or(cut, |(_, lines)| lines).to_owned()
    }

    /// Reads to the end. Cancel-safe: what was read before is kept.
    pub(super) async fn pump<R: AsyncRead + Unpin>(
        &mut self,
        input: &mut R,
    ) -> Result<(), AgentError> {
        let mut chunk = vec![0; 16 << 10];
        // A pipe that breaks has ended as well.
        while let Ok(size @ 1..) = input.read(&mut chunk).await {
            self.keep(chunk.get(..size).unwrap_or_default());
            if self.seen > self.limit as u64 {
                return Err(AgentError::failed(
                    "flood",
                    format!("wrote more than {} bytes to {}", self.limit, self.name),
                ));
            }
        }
        Ok(())
    }

    fn keep(&mut self, chunk: &[u8]) {
        self.seen += chunk.len() as u64;
        match self.part {
            Part::Head => {
                let room = KEPT_MAX.saturating_sub(self.kept.len()).min(chunk.len());
                self.kept.extend_from_slice(chunk.get(..room).unwrap_or_default());
            }
            Part::Tail => {
                self.kept.extend_from_slice(chunk);
                let excess = self.kept.len().saturating_sub(KEPT_MAX);
                self.kept.drain(..excess);
            }
        }
    }
}
