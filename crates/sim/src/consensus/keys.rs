use formic_consensus::{Electorate, InstanceId, PublicKey, Rank, Seal, Signed, Statement};
use formic_core::mix;

/// A signature scheme for the simulator alone: a keyed mix of 8 bytes, a thousand times cheaper than a real
/// one, deterministic as they are. Public and secret key are one number: liars of the simulator sign for
/// others only with wrong bytes, which is what they could do against a real scheme.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key(pub(crate) u64);

impl Key {
    /// The signature.
    pub(crate) fn seal(self, statement: &[u8]) -> Seal {
        let word = |chunk: &[u8]| chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let sum = statement.chunks(8).fold(self.0, |state, chunk| mix(state ^ word(chunk)));
        Seal(sum.to_be_bytes().to_vec())
    }

    /// A statement of this key's holder.
    pub(crate) fn sign(
        self,
        electorate: &Electorate,
        (instance, rank): (InstanceId, Rank),
        statement: Statement,
    ) -> Signed {
        let seal = self.seal(&statement.bytes(electorate, instance, rank));
        Signed { instance, rank, statement, seal }
    }
}

impl PublicKey for Key {
    fn verify(&self, statement: &[u8], signature: &[u8]) -> bool {
        self.seal(statement).0 == signature
    }
}
