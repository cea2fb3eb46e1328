//! Merkle trees of RFC 6962 shape: a short proof that a leaf is one of those under a root.

use formic_core::Digest;

/// The most hashes that a proof has: a tree has fewer than 2^32 leaves.
pub const PROOF_MAX: usize = 32;

/// SHA-256 of a leaf: the prefix keeps leaves and nodes apart.
pub fn leaf(data: &[u8]) -> Digest {
    Digest::of(&[&[0], data])
}

fn node(left: Digest, right: Digest) -> Digest {
    Digest::of(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// The largest power of two below `count`, which is at least 2.
const fn split(count: usize) -> usize {
    count.next_power_of_two() / 2
}

/// The root over hashed leaves; of none, the hash of nothing (RFC 6962, section 2.1).
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(&[]),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(root(left), root(right))
        }
    }
}

/// The hashes that lead from leaf `index` to the root, from the leaf up; `None` if there is no such
/// leaf (RFC 6962, section 2.1.1).
pub fn prove(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    match leaves {
        [] => None,
        [_] => (index == 0).then(Vec::new),
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            let (mut proof, sibling) = match index.checked_sub(left.len()) {
                None => (prove(left, index)?, root(right)),
                Some(index) => (prove(right, index)?, root(left)),
            };
            proof.push(sibling);
            Some(proof)
        }
    }
}

/// Whether `proof` leads from this leaf, the `index`-th of `count`, to `root`. A proof of another
/// length than this place has is refused.
pub fn proves(
    root: Digest,
    (index, count): (usize, usize),
    leaf: Digest,
    proof: &[Digest],
) -> bool {
    index < count && proof.len() <= PROOF_MAX && climb(index, count, leaf, proof) == Some(root)
}

fn climb(index: usize, count: usize, leaf: Digest, proof: &[Digest]) -> Option<Digest> {
    if count == 1 {
        return proof.is_empty().then_some(leaf);
    }
    let (sibling, rest) = proof.split_last()?;
    let left = split(count);
    match index.checked_sub(left) {
        None => Some(node(climb(index, left, leaf, rest)?, *sibling)),
        Some(index) => Some(node(*sibling, climb(index, count - left, leaf, rest)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|index| leaf(&index.to_be_bytes())).collect()
    }

    /// The definition of RFC 6962, by levels instead of by recursion: a lone last node goes up as it is.
    fn oracle(leaves: &[Digest]) -> Digest {
        let mut level = leaves.to_vec();
        while level.len() > 1 {
            level =
                level.chunks(2).map(|pair| pair.iter().copied().reduce(node).unwrap()).collect();
        }
        level.first().copied().unwrap_or_else(|| Digest::of(&[]))
    }

    #[test]
    fn roots_are_those_of_the_definition_by_levels() {
        for count in 0..=257 {
            assert_eq!(root(&leaves(count)), oracle(&leaves(count)), "{count}");
        }
        // The two published ends: an empty tree, and one empty leaf (RFC 6962 test vectors).
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(root(&[]).to_string(), empty);
        let one = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(root(&[leaf(b"")]).to_string(), one);
    }

    #[test]
    fn a_proof_holds_for_its_leaf_and_place_alone() {
        for count in [1, 2, 3, 7, 16, 33] {
            let leaves = leaves(count);
            (0..count).for_each(|index| holds_alone(&leaves, index));
            assert_eq!(prove(&leaves, count), None);
        }
        assert!(prove(&leaves(16), 15).unwrap().len() * 32 <= 128);
    }

    fn holds_alone(leaves: &[Digest], index: usize) {
        let (top, count) = (root(leaves), leaves.len());
        let proof = prove(leaves, index).unwrap();
        for place in 0..=count {
            let holds = proves(top, (place, count), leaves[index], &proof);
            assert_eq!(holds, place == index, "{index} as {place} of {count}");
        }
        let longer = [&proof[..], &[top]].concat();
        assert!(!proves(top, (index, count), leaves[index], &longer));
        assert!(!proves(top, (index, count), leaf(b"other"), &proof));
        for at in 0..proof.len() {
            let mut broken = proof.clone();
            broken[at] = leaf(b"other");
            assert!(!proves(top, (index, count), leaves[index], &broken));
        }
    }
}
