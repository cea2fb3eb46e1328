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
        let ours = run(&schedule, None, Shipped::new(&schedule));
        is_right(&ours);
        assert_eq!(ours.bodies.len(), 201);
        let textbook = run(&schedule, None, Textbook::new(&schedule));
        is_right(&textbook);
        assert_eq!(textbook.bodies.len(), 201);
    }
}
