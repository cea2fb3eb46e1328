//! What `formic_healing` promises (healing.md section 1), with its default settings.

use core::time::Duration;

use super::super::{Crashes, Figures, Ours, Pauses, Setting, correlated, crashes, watch};
use super::ms;

const BOUND: Duration = Duration::from_millis(450);

fn lossy(peers: usize, loss_permille: u64) -> Setting {
    Setting { loss_permille, ..Setting::new(peers, 42) }
}

fn crash(setting: &Setting, plan: &Crashes) -> Figures {
    let view = Ours::first_view(setting.peers);
    crashes(setting, plan, |seat| Ours::new(seat, &view).unwrap())
}

fn crash_at_once(setting: &Setting, plan: &Crashes) -> Figures {
    let view = Ours::first_view(setting.peers);
    correlated(setting, plan, |seat| Ours::new(seat, &view).unwrap())
}

fn watched(setting: &Setting, seconds: u64) -> Figures {
    let view = Ours::first_view(setting.peers);
    let span = (ms(2_000), Duration::from_secs(seconds));
    watch(setting, span, |seat| Ours::new(seat, &view).unwrap())
}

fn worst(spans: &[Duration]) -> Duration {
    spans.iter().max().copied().unwrap()
}

#[test]
fn the_last_live_peer_knows_a_crash_within_450_ms_also_when_a_fifth_is_lost() {
    for peers in [3, 4, 5, 6, 7, 8, 9, 10] {
        for loss in [0, 50, 100, 200] {
            let plan = Crashes { worlds: 100, ..Crashes::single() };
            let figures = crash(&lossy(peers, loss), &plan);
            assert_eq!((figures.detected.len(), figures.missed), (100, 0), "n {peers}, {loss}");
            let worst = worst(&figures.detected);
            assert!(worst <= BOUND, "n {peers}, loss {loss}: {worst:?}");
            assert_eq!(figures.kept, 0, "n {peers}, loss {loss}: a view without it everywhere");
        }
    }
}

#[test]
fn of_a_hundred_the_last_one_knows_as_early() {
    for loss in [0, 200] {
        let plan = Crashes { worlds: 3, each: 5, ..Crashes::single() };
        let figures = crash(&lossy(100, loss), &plan);
        assert_eq!((figures.detected.len(), figures.missed, figures.kept), (15, 0, 0));
        assert!(worst(&figures.detected) <= BOUND, "loss {loss}: {:?}", worst(&figures.detected));
    }
}

#[test]
fn of_two_the_anchor_goes_on_at_once_and_the_other_doubts_itself_for_three_seconds() {
    let anchor_lives = Crashes { worlds: 30, spared: Some(0), ..Crashes::single() };
    let figures = crash(&lossy(2, 200), &anchor_lives);
    assert_eq!((figures.detected.len(), figures.kept), (30, 0));
    assert!(worst(&figures.detected) <= BOUND, "{:?}", worst(&figures.detected));
    let anchor_dies = Crashes { spared: Some(1), ..anchor_lives };
    let figures = crash(&lossy(2, 200), &anchor_dies);
    assert_eq!((figures.detected.len(), figures.kept), (30, 30), "alone it decides nothing");
    assert!(figures.detected.iter().all(|after| (ms(3_200)..ms(3_450)).contains(after)));
}

#[test]
fn a_fifth_of_all_messages_lost_condemns_no_living_peer() {
    for peers in [2, 3, 4, 5, 10] {
        let figures = watched(&lossy(peers, 200), 2_000);
        assert_eq!((figures.false_verdicts, figures.false_evictions), (0, 0), "n {peers}");
    }
}

#[test]
fn a_peer_sends_at_most_a_hundred_messages_a_second_at_any_size() {
    for (peers, loss) in [(2, 0), (5, 0), (10, 0), (10, 200), (100, 0), (100, 200)] {
        let figures = watched(&lossy(peers, loss), 20);
        let per_second = figures.messages as f64 / figures.lived.as_secs_f64();
        assert!(per_second <= 100.0, "n {peers}, loss {loss}: {per_second}");
    }
}

/// A verdict follows 350 ms of silence, and the last beat before a stall is up to 100 ms older than it: of
/// exponential stalls with a mean of 100 ms, (e - 1) = 1.7 times as many are silent for 350 ms as last
/// that long. Stalls close to each other add some.
#[test]
fn only_silences_above_the_bounds_cost_verdicts_and_evictions() {
    let setting = Setting { stalls: Some(Pauses::BUSY), ..Setting::new(10, 42) };
    let figures = watched(&setting, 2_000);
    assert!(figures.long_pauses > 200, "{figures:?}");
    assert!(figures.false_verdicts * 10 <= figures.long_pauses * 22, "{figures:?}");
    // A handful in all: a ratio would say nothing.
    assert!(figures.false_evictions <= figures.lasting_pauses + 5, "{figures:?}");
}

#[test]
fn a_third_of_ten_or_of_a_hundred_that_die_at_once_are_condemned_and_evicted() {
    for (peers, dead, worlds) in [(10, 3, 60), (100, 30, 3)] {
        for loss in [0, 100] {
            let plan = Crashes { worlds, each: dead, spared: Some(0), ..Crashes::single() };
            let figures = crash_at_once(&lossy(peers, loss), &plan);
            assert_eq!((figures.missed, figures.kept), (0, 0), "n {peers}, loss {loss}");
            let (known, out) = (worst(&figures.detected), worst(&figures.evicted));
            assert!(known <= ms(1_100), "n {peers}, loss {loss}: known after {known:?}");
            assert!(out <= ms(1_800), "n {peers}, loss {loss}: evicted after {out:?}");
        }
    }
}

#[test]
fn half_that_dies_at_once_is_condemned_and_evicted_by_the_half_with_the_anchor() {
    for (peers, dead, worlds) in [(10, 5, 60), (100, 50, 3)] {
        for loss in [0, 100] {
            let plan = Crashes { worlds, each: dead, spared: Some(0), ..Crashes::single() };
            let figures = crash_at_once(&lossy(peers, loss), &plan);
            assert_eq!((figures.missed, figures.kept), (0, 0), "n {peers}, loss {loss}");
            let (known, out) = (worst(&figures.detected), worst(&figures.evicted));
            // Each probe of a silent observer is lost with its answer one time in five: one more round.
            let bound = if peers == 100 && loss > 0 { ms(1_300) } else { ms(1_100) };
            assert!(known <= bound, "n {peers}, loss {loss}: known after {known:?}");
            assert!(out <= ms(1_800), "n {peers}, loss {loss}: evicted after {out:?}");
        }
    }
}
