use core::{convert::Infallible, fmt};

use formic_core::Digest;
use rand_core::{TryCryptoRng, TryRng};
use zeroize::Zeroize;

use crate::domain;

/// Entropy that was handed in as 32 bytes, drawn out as many: this crate has none of its own.
///
/// Block `i` is SHA-256 of `formic/entropy/1`, the seed and `i` (a hash in counter mode). Overwritten when dropped.
/// Same seed, same draws: a key made with it is that of its seed.
pub struct Entropy {
    seed: [u8; 32],
    blocks: u64,
    block: [u8; 32],
    used: usize,
}

impl Entropy {
    /// Draws that whoever does not know `seed` cannot tell from chance. A seed is used once.
    pub const fn from_seed(seed: [u8; 32]) -> Self {
        Self { seed, blocks: 0, block: [0; 32], used: 32 }
    }

    fn byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            let parts = [&domain("formic/entropy/1")[..], &self.seed, &self.blocks.to_be_bytes()];
            self.block = *Digest::of(&parts).as_bytes();
            self.blocks += 1;
            self.used = 0;
        }
        let byte = self.block[self.used];
        // What was handed out is not kept: it is part of somebody's key.
        self.block[self.used] = 0;
        self.used += 1;
        byte
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.byte())
    }
}

impl TryRng for Entropy {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill_with(|| self.byte());
        Ok(())
    }
}

impl TryCryptoRng for Entropy {}

impl Drop for Entropy {
    fn drop(&mut self) {
        self.seed.zeroize();
        self.block.zeroize();
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy")
    }
}
