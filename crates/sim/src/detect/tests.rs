mod ours;

use super::{
    Act, Crashes, Detector, Figures, Input, Pauses, Phi, Setting, correlated, crashes, watch,
};

use core::time::Duration;

use formic_core::{Time, transport::Class};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Beats every 100 ms, never judges.
#[derive(Debug)]
struct Mute(Option<Time>);

impl Detector for Mute {
    type Message = u8;

    fn handle(&mut self, now: Time, input: Input<'_, u8>, out: &mut Vec<Act<u8>>) {
        if !matches!(input, Input::Message { .. }) {
            self.0 = Some(now + ms(100));
            out.push(Act::Broadcast { message: 1 });
            out.push(Act::Send { to: 0, class: Class::Control, message: 2 });
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.0
    }

    fn size(message: &u8) -> usize {
        usize::from(*message) * 10
    }
}

#[test]
fn who_never_judges_misses_every_crash() {
    let plan = Crashes { worlds: 3, each: 2, patience: ms(500), ..Crashes::single() };
    let figures = crashes(&Setting::new(4, 1), &plan, |_| Mute(None));
    assert_eq!((figures.detected.len(), figures.missed, figures.kept), (0, 6, 0));
    assert_eq!(figures.false_verdicts, 0);
}

#[test]
fn traffic_is_counted_exactly() {
    let figures = watch(&Setting::new(4, 1), (ms(1_000), ms(10_000)), |_| Mute(None));
    // 100 rounds of 4 peers: 3 messages of 10 bytes each, and one of 20.
    assert_eq!((figures.messages, figures.bytes), (1_600, 4 * 100 * (30 + 20)));
    assert_eq!(figures.lived, Duration::from_secs(40));
}

#[test]
fn phi_finds_each_crash_after_the_silence_it_computes() {
    let plan = Crashes { worlds: 50, ..Crashes::single() };
    let figures = crashes(&Setting::new(10, 1), &plan, Phi::alone);
    assert_eq!((figures.detected.len(), figures.missed, figures.false_verdicts), (50, 0, 0));
    // The last beat was up to 100 ms before the crash; phi is 8 after 352 ms of silence.
    let worst = Figures::permille(&figures.detected, 1_000).unwrap();
    assert!(worst > ms(330) && worst < ms(360), "{worst:?}");
    assert!(figures.detected.iter().all(|&after| after > ms(250)));
}

#[test]
fn phi_alone_takes_loss_for_death_and_a_quorum_does_so_less() {
    let setting = Setting { loss_permille: 100, ..Setting::new(10, 1) };
    let span = (ms(10_000), ms(100_000));
    let alone = watch(&setting, span, Phi::alone);
    let quorum = watch(&setting, span, Phi::with_quorum);
    assert!(alone.false_verdicts > 0);
    assert!(quorum.false_verdicts < alone.false_verdicts);
}

#[test]
fn a_long_stall_is_a_false_verdict() {
    let setting = Setting { stalls: Some(Pauses::BUSY), ..Setting::new(10, 1) };
    let figures = watch(&setting, (ms(2_000), ms(200_000)), Phi::alone);
    assert!(figures.pauses > 800 && figures.long_pauses > 10, "{figures:?}");
    assert!(figures.false_verdicts >= figures.long_pauses / 2, "{figures:?}");
}

#[test]
fn an_outage_is_a_false_verdict() {
    let outages = Pauses { every: Duration::from_secs(5), mean: ms(300) };
    let setting = Setting { outages: Some(outages), ..Setting::new(10, 1) };
    let figures = watch(&setting, (ms(2_000), ms(100_000)), Phi::alone);
    assert!(figures.long_pauses > 30 && figures.false_verdicts > 30, "{figures:?}");
}

#[test]
fn all_dead_of_a_correlated_crash_are_known() {
    let plan = Crashes { worlds: 20, each: 3, ..Crashes::single() };
    let figures = correlated(&Setting::new(10, 1), &plan, Phi::alone);
    assert_eq!((figures.detected.len(), figures.missed), (20, 0));
    // The slowest of three: hardly ever as quick as the median of one.
    let one = Crashes { each: 1, worlds: 100, ..plan };
    let median = Figures::permille(&crashes(&Setting::new(10, 1), &one, Phi::alone).detected, 500);
    let later = figures.detected.iter().filter(|&&after| Some(after) > median).count();
    assert!(later >= 14, "{later} of 20");
}

#[test]
fn a_seed_gives_the_same_figures_every_time() {
    let plan = Crashes { worlds: 3, ..Crashes::single() };
    let stalls = Some(Pauses::BUSY);
    let setting = Setting { loss_permille: 100, stalls, ..Setting::new(5, 9) };
    let run = || crashes(&setting, &plan, Phi::with_quorum);
    assert_eq!(run(), run());
    assert_ne!(run(), crashes(&Setting { seed: 10, ..setting.clone() }, &plan, Phi::with_quorum));
}
