use formic_core::mix;

/// Keyed randomness: a draw is a function of the seed, a stream's name and what is decided.
#[derive(Clone, Copy, Debug)]
pub struct Draw(u64);

impl Draw {
    /// All draws of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x666f_726d_6963))
    }

    /// 64 bits for this decision.
    pub fn bits(self, stream: &str, what: &[u64]) -> u64 {
        let named = stream.bytes().fold(self.0, |state, byte| mix(state ^ u64::from(byte)));
        what.iter().fold(named, |state, part| mix(state.wrapping_add(mix(*part ^ 0x9e37))))
    }

    /// A number in `0..bound`; 0 if `bound` is 0.
    pub fn below(self, stream: &str, what: &[u64], bound: u64) -> u64 {
        let wide = u128::from(self.bits(stream, what)) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// As [`below`](Self::below), as an index.
    pub fn index(self, stream: &str, what: &[u64], bound: usize) -> usize {
        usize::try_from(self.below(stream, what, bound as u64)).unwrap_or(0)
    }

    /// True `permille` times in a thousand.
    pub fn chance(self, stream: &str, what: &[u64], permille: u64) -> bool {
        self.below(stream, what, 1_000) < permille
    }
}
