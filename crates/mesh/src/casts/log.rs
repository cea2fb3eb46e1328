use core::time::Duration;
use std::{collections::BTreeMap, sync::Arc};

use formic_core::{Life, Time};

use super::{Cast, Stream};

/// How long a cast is kept for those that miss it.
pub(super) const LOG_TIME: Duration = Duration::from_secs(60);
/// The most casts kept of one stream.
const PER_STREAM: usize = 1_024;

/// Casts kept for those that miss them, own and others': oldest go first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Log {
    limit: usize,
    bytes: usize,
    streams: BTreeMap<Stream, BTreeMap<u64, (Arc<Cast>, u64)>>,
    /// By arrival.
    arrivals: BTreeMap<u64, (Time, Stream, u64)>,
    arrived: u64,
}

impl Log {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, streams: BTreeMap::new(), arrivals: BTreeMap::new(), arrived: 0 }
    }

    pub(super) fn keep(&mut self, now: Time, cast: Arc<Cast>) {
        let stream = Stream { origin: cast.origin, number: cast.stream };
        let kept = self.streams.entry(stream).or_default();
        if kept.contains_key(&cast.seq) {
            return;
        }
        let crowded = kept.len() >= PER_STREAM;
        let oldest = kept.first_key_value().map(|(&seq, _)| seq);
        self.bytes += cast.payload.len();
        self.arrived += 1;
        self.arrivals.insert(self.arrived, (now, stream, cast.seq));
        kept.insert(cast.seq, (cast, self.arrived));
        if let Some(oldest) = oldest.filter(|_| crowded) {
            self.drop_one(stream, oldest);
        }
        while self.bytes > self.limit
            && let Some((_, &(_, stream, seq))) = self.arrivals.first_key_value()
        {
            self.drop_one(stream, seq);
        }
    }

    pub(super) fn expire(&mut self, now: Time) {
        while let Some((_, &(at, stream, seq))) = self.arrivals.first_key_value()
            && at + LOG_TIME <= now
        {
            self.drop_one(stream, seq);
        }
    }

    pub(super) fn get(&self, stream: Stream, seq: u64) -> Option<&Arc<Cast>> {
        self.streams.get(&stream).and_then(|kept| kept.get(&seq)).map(|(cast, _)| cast)
    }

    pub(super) fn first(&self, stream: Stream) -> Option<u64> {
        self.streams.get(&stream).and_then(|kept| kept.first_key_value()).map(|(&seq, _)| seq)
    }

    pub(super) const fn is_full(&self, more: usize) -> bool {
        self.bytes + more > self.limit
    }

    /// Bytes of this stream above a number. O(casts kept of it).
    pub(super) fn bytes_above(&self, stream: Stream, seq: u64) -> usize {
        let kept = self.streams.get(&stream);
        kept.map_or(0, |kept| kept.range(seq + 1..).map(|(_, (cast, _))| cast.payload.len()).sum())
    }

    pub(super) fn forget(&mut self, origin: Life) {
        let of = Stream { origin, number: 0 }..=Stream { origin, number: u32::MAX };
        let gone: Vec<(Stream, u64)> = self
            .streams
            .range(of)
            .flat_map(|(stream, kept)| kept.keys().map(|seq| (*stream, *seq)))
            .collect();
        gone.into_iter().for_each(|(stream, seq)| self.drop_one(stream, seq));
    }

    fn drop_one(&mut self, stream: Stream, seq: u64) {
        let Some(kept) = self.streams.get_mut(&stream) else { return };
        if let Some((cast, arrival)) = kept.remove(&seq) {
            self.bytes -= cast.payload.len();
            self.arrivals.remove(&arrival);
        }
        if kept.is_empty() {
            self.streams.remove(&stream);
        }
    }

    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}
