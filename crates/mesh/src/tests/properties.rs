use formic_core::{Incarnation, Life, PeerId, Time};
use proptest::prelude::*;

use super::world::record;
use crate::{Record, roster::Roster};

fn records() -> impl Strategy<Value = Vec<Record>> {
    let one =
        (0_u8..4, 0_u64..3, 0_u64..4, 0_u32..3).prop_map(|(n, incarnation, version, slots)| {
            let life = Life::new(PeerId::from_bytes([n; 32]), Incarnation(incarnation));
            Record { life, version, slots, ..record(n) }
        });
    proptest::collection::vec(one, 0..24)
}

fn merged(records: &[Record]) -> Vec<Record> {
    let mut roster = Roster::default();
    for record in records {
        roster.merge(Time::ZERO, record.clone());
    }
    roster.iter().map(|member| member.record.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn merging_is_order_free_and_idempotent(records in records(), seed: u64) {
        let expected = merged(&records);
        let mut random = formic_core::Random::new(seed);
        let mut shuffled = [&records[..], &records[..]].concat();
        shuffled.sort_by_cached_key(|_| random.next());
        prop_assert_eq!(&merged(&shuffled), &expected);
        for record in &expected {
            let best = records.iter().filter(|r| r.life.peer == record.life.peer)
                .map(|r| (r.life.incarnation, r.version)).max();
            prop_assert_eq!(best, Some((record.life.incarnation, record.version)));
        }
    }
}
