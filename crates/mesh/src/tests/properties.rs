use std::collections::BTreeMap;

use formic_core::{Incarnation, Life, PeerId, Random};
use proptest::prelude::*;

use super::world::{delta, handle, life, member_of, record};
use crate::{Key, Path, Record, Slot, tree::Tree};

fn records() -> impl Strategy<Value = Vec<Record>> {
    let one = (2_u8..5, 1_u64..5, 0_u32..3).prop_map(|(n, version, slots)| Record {
        version,
        slots,
        ..record(n)
    });
    proptest::collection::vec(one, 0..24)
}

fn merged(records: &[Record]) -> (u64, Vec<Record>) {
    let mut mesh = member_of(1, &[2, 3, 4]);
    for record in records {
        handle(&mut mesh, delta(2, vec![record.clone()])).unwrap();
    }
    (mesh.tree.root(), mesh.members().map(|(record, _)| record.clone()).collect())
}

fn keys(count: u64, seed: u64) -> Vec<Key> {
    let mut random = Random::new(seed);
    let key = |_| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&random.next().to_be_bytes());
        let owner = Life::new(PeerId::from_bytes(bytes), Incarnation(1));
        Key { owner, slot: Slot::MAIN, version: random.below(9), hash: random.next() }
    };
    (0..count).map(key).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// M1.
    #[test]
    fn merging_is_order_free_and_idempotent(records in records(), seed: u64) {
        let expected = merged(&records);
        let mut random = Random::new(seed);
        let mut shuffled = [&records[..], &records[..]].concat();
        shuffled.sort_by_cached_key(|_| random.next());
        prop_assert_eq!(&merged(&shuffled), &expected);
        for record in expected.1.iter().filter(|it| it.life != life(1)) {
            let known = records.iter().filter(|it| it.life == record.life).map(|it| it.version);
            prop_assert_eq!(known.max().unwrap_or(1).max(1), record.version);
        }
    }

    /// M2: the root names the content, whatever happened on the way to it.
    #[test]
    fn the_root_does_not_depend_on_the_way(count in 0_u64..600, more in 1_u64..200, seed: u64) {
        let wanted = keys(count, seed);
        let mut straight = Tree::default();
        wanted.iter().for_each(|key| straight.insert(*key));
        let mut random = Random::new(seed ^ 1);
        let mut crooked = Tree::default();
        let passing = keys(more, seed ^ 2);
        let mut mixed = [&wanted[..], &passing[..]].concat();
        mixed.sort_by_cached_key(|_| random.next());
        mixed.iter().for_each(|key| crooked.insert(*key));
        prop_assert_ne!(straight.root(), crooked.root());
        passing.iter().for_each(|key| crooked.remove(key.owner.peer, key.slot));
        prop_assert_eq!(&straight, &crooked);
        if let Some(key) = wanted.first() {
            crooked.insert(Key { hash: key.hash ^ 1, ..*key });
            prop_assert_ne!(straight.root(), crooked.root());
        }
    }
}

#[test]
fn every_key_lies_below_every_node_on_its_way() {
    let mut tree = Tree::default();
    let all = keys(2_000, 5);
    all.iter().for_each(|key| tree.insert(*key));
    let mut found = BTreeMap::new();
    let mut nodes = vec![Path::default()];
    while let Some(path) = nodes.pop() {
        match tree.below(path) {
            crate::tree::Below::Leaf(keys) => {
                assert!(keys.len() <= 16);
                found.extend(keys.into_iter().map(|key| (key.owner, key)));
            }
            crate::tree::Below::Inner(_) => nodes.extend((0..16).map(|digit| path.child(digit))),
        }
    }
    assert_eq!(found.len(), 2_000);
}
