use formic_core::{FateId, Incarnation, Member};

use super::*;

fn view(members: u8, fates: u8) -> View {
    let member = |n| Member {
        life: Life::new(PeerId::from_bytes([n; 32]), Incarnation(1)),
        fate: FateId(u64::from(n % fates)),
    };
    View { members: (0..members).map(member).collect(), ..View::found(member(0)) }
}

fn key(number: u8) -> Key {
    Key::from_bytes([number; 16])
}

#[test]
fn any_two_quorums_of_a_set_share_a_replica() {
    for members in 1..=10 {
        let set = Set::of(&view(members, members), key(members));
        let count = u32::try_from(set.peers().len()).unwrap();
        for bits in 0..1_u32 << count {
            let chosen = |peer: PeerId| bits >> set.peers().binary_search(&peer).unwrap() & 1 == 1;
            let both = set.is_quorum(chosen) && set.is_quorum(|peer| !chosen(peer));
            assert!(!both, "{members} members, {bits:b} and its complement");
        }
    }
}

#[test]
fn a_set_is_odd_or_a_pair_with_an_anchor() {
    let sizes = (1..=9).map(|members| Set::of(&view(members, members), key(1)).peers().len());
    assert_eq!(sizes.collect::<Vec<_>>(), [1, 2, 3, 3, 5, 5, 7, 7, 7]);
    let pair = Set::of(&view(2, 2), key(1));
    let is = |n: u8| move |peer: PeerId| peer == PeerId::from_bytes([n; 32]);
    assert!(pair.is_quorum(is(0)) && !pair.is_quorum(is(1)));
}

#[test]
fn no_two_replicas_share_a_process_while_there_are_others() {
    for number in 0..50 {
        let view = view(40, 7);
        let fate = |peer: &PeerId| view.member(*peer).unwrap().fate;
        let set = Set::of(&view, key(number));
        let fates: BTreeSet<_> = set.peers().iter().map(fate).collect();
        assert_eq!(fates.len(), 7);
    }
}

#[test]
fn tasks_are_spread_and_one_member_more_moves_few_of_them() {
    let (small, large) = (view(20, 20), view(21, 21));
    let mut kept: BTreeMap<PeerId, u32> = BTreeMap::new();
    let mut changed = 0;
    for number in 0..=255 {
        let set = Set::of(&small, key(number));
        set.peers().iter().for_each(|peer| *kept.entry(*peer).or_default() += 1);
        changed += u32::from(set != Set::of(&large, key(number)));
    }
    // 256 tasks of 7 replicas: 90 for each of 20; a third of them meets the newcomer.
    assert!(kept.len() == 20 && kept.values().all(|count| (50..150).contains(count)), "{kept:?}");
    assert!((50..130).contains(&changed), "{changed}");
}
