//! The contestants.

use core::time::Duration;

use formic_benches::{Swim, Tuning};
use formic_sim::detect::{Crashes, Figures, Ours, Phi, Seat, Setting, correlated, crashes, watch};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    Ours,
    Foca,
    FocaGenerous,
    Phi,
    PhiQuorum,
}

/// What is done to them.
#[derive(Clone, Debug)]
pub(crate) enum Trial {
    Crashes(Crashes),
    Correlated(Crashes),
    /// Warm-up, then how long.
    Watch(Duration, Duration),
}

impl Contestant {
    pub(crate) const ALL: [Self; 5] =
        [Self::Ours, Self::Foca, Self::FocaGenerous, Self::Phi, Self::PhiQuorum];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "formic",
            Self::Foca => "foca 2 (SWIM), frugal",
            Self::FocaGenerous => "foca 2 (SWIM), generous",
            Self::Phi => "phi accrual, all to all",
            Self::PhiQuorum => "phi accrual, 5 of 8",
        }
    }

    /// Messages grow with the square of n.
    pub(crate) const fn is_quadratic(self) -> bool {
        matches!(self, Self::Phi)
    }

    pub(crate) fn measure(self, setting: &Setting, trial: &Trial) -> Figures {
        match self {
            Self::Ours => {
                let view = Ours::first_view(setting.peers);
                run(setting, trial, |seat| {
                    Ours::new(seat, &view).expect("the machine accepts its own defaults")
                })
            }
            Self::Foca => run(setting, trial, |seat| Swim::new(seat, &Tuning::FRUGAL)),
            Self::FocaGenerous => run(setting, trial, |seat| Swim::new(seat, &Tuning::GENEROUS)),
            Self::Phi => run(setting, trial, Phi::alone),
            Self::PhiQuorum => run(setting, trial, Phi::with_quorum),
        }
    }
}

fn run<D: formic_sim::detect::Detector>(
    setting: &Setting,
    trial: &Trial,
    make: impl Fn(Seat) -> D,
) -> Figures {
    match trial {
        Trial::Crashes(plan) => crashes(setting, plan, make),
        Trial::Correlated(plan) => correlated(setting, plan, make),
        Trial::Watch(warm_up, span) => watch(setting, (*warm_up, *span), make),
    }
}
