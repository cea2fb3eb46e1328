use core::time::Duration;

use super::*;

fn run<D: Detector>(schedule: &Schedule, fault: Option<Fault>, detector: D) -> Run {
    play(schedule, fault, detector).expect("honest peers refuse nothing")
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn announcement(run: &Run) -> &Announcement {
    run.announced.as_ref().expect("it announces")
}

/// It announced, and at that moment all was done.
fn is_right(run: &Run) {
    let said = announcement(run);
    assert_eq!(said.early, None, "{:?}", run.lines);
    let last = run.bodies.iter().filter_map(|body| body.to).max();
    assert!(Some(said.at) >= last && said.running.is_empty(), "{said:?}, last end {last:?}");
    assert!(!run.busy_at_end);
}

#[test]
fn naive_scan_announces_early_where_ours_does_not() {
    let schedule = Schedule::recorded();
    let naive = run(&schedule, None, Naive::new(&schedule));
    let said = announcement(&naive);
    assert!(said.early.is_some(), "{:?}", naive.lines);
    assert_eq!((said.at, &said.running[..]), (ms(19), &[2][..]), "`late` runs at that moment");
    for home in [1, 3] {
        let schedule = Schedule { home, ..schedule.clone() };
        let ours = run(&schedule, None, Shipped::new(&schedule));
        assert_eq!(ours.bodies, naive.bodies, "both saw the same bodies at the same times");
        is_right(&ours);
    }
}

/// The comparator is no straw man: where nothing moves behind its back, it is right.
#[test]
fn naive_scan_is_right_when_nothing_moves_behind_it() {
    let schedule = Schedule { scan: ms(40), ..Schedule::recorded() };
    is_right(&run(&schedule, None, Naive::new(&schedule)));
    // And where it looks while a peer is busy, it sees that and looks again.
    let schedule = Schedule { scan: ms(12), ..Schedule::recorded() };
    is_right(&run(&schedule, None, Naive::new(&schedule)));
}

#[test]
fn textbook_counters_are_right_without_faults() {
    let schedule = Schedule::recorded();
    is_right(&run(&schedule, None, Textbook::new(&schedule)));
}

#[test]
fn textbook_counters_announce_early_on_a_duplicate() {
    let schedule = Schedule::recorded();
    let fault = Some(Fault::Doubled { task: 1, later: ms(1) });
    let textbook = run(&schedule, fault, Textbook::new(&schedule));
    let said = announcement(&textbook);
    assert!(said.early.is_some() && said.running.contains(&1), "{:?}", textbook.lines);
    let ours = run(&schedule, fault, Shipped::new(&schedule));
    is_right(&ours);
    assert_eq!(ours.bodies.len(), 3, "a doubled message is not a second execution");
}

#[test]
fn textbook_counters_hang_after_a_crash() {
    let schedule = Schedule::recorded();
    let fault = Some(Fault::Crash { peer: 2, at: ms(8), noticed: ms(300) });
    let textbook = run(&schedule, fault, Textbook::new(&schedule));
    assert!(!textbook.busy_at_end, "nothing runs, nothing is on its way");
    assert_eq!(textbook.announced, None, "{:?}", textbook.lines);
    let ours = run(&schedule, fault, Shipped::new(&schedule));
    is_right(&ours);
    let again: Vec<_> = ours.bodies.iter().filter(|body| body.task == 1).collect();
    assert_eq!(again.len(), 2, "`long` died with peer 2 and ran again");
    assert_eq!((again[0].to, again[1].peer), (None, 0));
}

/// The recorded faults are no lucky moment for ours, and no unlucky one for the counters.
#[test]
fn ours_is_right_wherever_the_fault_comes() {
    let schedule = Schedule::recorded();
    let mut hangs = 0;
    for at in 0..40 {
        for peer in [1, 2] {
            let fault = Some(Fault::Crash { peer, at: ms(at), noticed: ms(50) });
            is_right(&run(&schedule, fault, Shipped::new(&schedule)));
            let textbook = run(&schedule, fault, Textbook::new(&schedule));
            hangs += u32::from(textbook.announced.is_none());
        }
        let doubled = Some(Fault::Doubled { task: 2, later: ms(at) });
        is_right(&run(&schedule, doubled, Shipped::new(&schedule)));
    }
    assert!(hangs > 20, "{hangs}");
}

#[test]
fn large_schedules_are_covered_by_all() {
    for schedule in [Schedule::flat(10, 200), Schedule::tree(10, 200, 3)] {
        for algorithm in &Algorithm::ALL[1..] {
            let run = algorithm.play(&schedule, None).expect("honest peers refuse nothing");
            is_right(&run);
            assert_eq!(run.bodies.len(), 201, "{algorithm:?}");
        }
    }
}

fn paid(workload: Workload, peers: usize, algorithm: Algorithm) -> Cost {
    let cost = cost(workload, peers, algorithm).expect("honest peers refuse nothing");
    assert_eq!(cost.wrong, 0, "{cost:?}");
    cost
}

/// What each of them is known for.
#[test]
fn each_algorithm_pays_in_its_own_coin() {
    let flat = |algorithm| paid(Workload::Flat, 10, algorithm);
    let textbook = flat(Algorithm::Textbook);
    assert_eq!(textbook.control, textbook.work, "one signal for each work message");
    let (ten, hundred) = (flat(Algorithm::Safra), paid(Workload::Flat, 100, Algorithm::Safra));
    assert!(ten.control < ten.work / 10, "the token is cheap where peers are few: {ten:?}");
    assert!(ten.latency > 9_000 && hundred.latency > 99_000, "and has to go round: {hundred:?}");
    let credit = flat(Algorithm::Credit);
    assert!(credit.latency <= 1_000 && credit.control < credit.work / 10, "{credit:?}");
    let waves = flat(Algorithm::FourCounter);
    assert!((2_000..=4_000).contains(&waves.latency), "two waves: {waves:?}");
}

/// One fact to the home life, one round trip to store the result at a majority of three.
#[test]
fn ours_announces_three_delays_after_the_last_flat_or_handed_over_task() {
    for (workload, algorithm) in [
        (Workload::Flat, Algorithm::Nested),
        (Workload::Tree, Algorithm::Tails),
        (Workload::Chain, Algorithm::Tails),
    ] {
        let cost = paid(workload, 10, algorithm);
        assert!(cost.latency <= 3_000, "{cost:?}");
    }
    let chain = paid(Workload::Chain, 10, Algorithm::Nested);
    assert!(
        chain.latency >= 200_000,
        "an awaited chain is told from its end to its root: {chain:?}"
    );
}

fn ended(algorithm: Algorithm, kind: Kind) -> Tally {
    endings(algorithm, kind, 25).expect("honest peers refuse nothing")
}

#[test]
fn without_faults_all_published_algorithms_are_right() {
    for algorithm in &Algorithm::ALL[1..] {
        let all = Tally { early: 0, never: 0, right: 25 };
        assert_eq!(ended(*algorithm, Kind::None), all, "{algorithm:?}");
    }
}

#[test]
fn one_fault_breaks_each_published_algorithm() {
    for algorithm in &Algorithm::ALL[1..5] {
        let lost = ended(*algorithm, Kind::Lost);
        assert_eq!(lost.right, 0, "a lost message is waited for: {algorithm:?} {lost:?}");
        let doubled = ended(*algorithm, Kind::Doubled);
        assert!(doubled.early + doubled.never > 0, "{algorithm:?} {doubled:?}");
        for kind in [Kind::Crash, Kind::Restart, Kind::Initiator] {
            let tally = ended(*algorithm, kind);
            assert!(tally.never > 5, "{algorithm:?} {kind:?} {tally:?}");
        }
        // They take no detector's word, so its errors do not hurt them.
        assert_eq!(ended(*algorithm, Kind::Suspicion).right, 25, "{algorithm:?}");
    }
    assert!(ended(Algorithm::Textbook, Kind::Doubled).early > 0, "counters settle twice");
}

#[test]
fn no_fault_breaks_ours() {
    for algorithm in [Algorithm::Nested, Algorithm::Tails] {
        for kind in Kind::ALL {
            let all = Tally { early: 0, never: 0, right: 25 };
            assert_eq!(ended(algorithm, kind), all, "{algorithm:?} {kind:?}");
        }
    }
}

/// The credit is exact, above one as well.
#[test]
fn shares_add_up_to_what_was_split() {
    let mut pool = vec![Share::whole()];
    for _ in 0..300 {
        let given = pool[0].split();
        pool.push(given);
    }
    let mut sum = Share::default();
    pool.into_iter().rev().for_each(|share| sum.add(share));
    assert_eq!(sum, Share::whole());
    sum.add(Share::whole());
    assert_ne!(sum, Share::whole(), "two are not one");
}
