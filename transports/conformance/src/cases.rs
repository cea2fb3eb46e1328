use core::{future::Future, pin::Pin};

use crate::{Failure, Fixture};

mod delivery;
mod dialing;
mod links;
mod lives;
mod pressure;

/// A case that runs.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// A case: what one transport is asked.
pub type Case = for<'a> fn(&'a dyn Fixture) -> Running<'a>;

/// Gives all names to a macro: the list is in one place.
macro_rules! table {
    ($($module:ident: $($case:ident)+;)+) => {
        /// All cases, by name. The names are part of the contract.
        pub const CASES: &[(&str, Case)] =
            &[$($((stringify!($case), |fixture| Box::pin($module::$case(fixture)))),+),+];
    };
}

table! {
    dialing: both_ends_know_whom_they_met connect_is_idempotent concurrent_connects_share_one_link
        a_dropped_connect_does_not_stop_the_dial another_peer_is_refused oneself_is_refused
        no_address_is_refused identify_names_the_peer_and_leaves_no_link both_dial_at_once;
    delivery: ten_thousand_in_order_in_each_class both_directions_at_once hundred_from_each_of_ten
        only_who_is_addressed_hears empty_and_largest_message too_large_comes_back
        unreliable_is_a_subset;
    pressure: full_returns_the_message_and_room_is_announced a_full_class_stops_no_other
        ready_wakes_every_task a_batch_is_taken_in_part unreliable_is_never_full;
    links: a_closed_link_is_unknown close_reason_reaches_the_peer close_flushes
        a_new_link_carries_nothing_of_the_old_one shutdown_delivers_what_was_accepted
        after_shutdown_nothing_is_taken;
    lives: a_successor_replaces_its_older_life an_older_life_is_refused
        renew_ends_all_links_and_begins_a_life;
}

/// One `#[tokio::test]` per case of [`CASES`], each with a fixture of its own: `conformance!(EXPRESSION)`.
#[macro_export]
macro_rules! conformance {
    ($fixture:expr) => {
        $crate::conformance! { $fixture;
            both_ends_know_whom_they_met connect_is_idempotent concurrent_connects_share_one_link
            a_dropped_connect_does_not_stop_the_dial another_peer_is_refused oneself_is_refused
            no_address_is_refused identify_names_the_peer_and_leaves_no_link both_dial_at_once
            ten_thousand_in_order_in_each_class both_directions_at_once hundred_from_each_of_ten
            only_who_is_addressed_hears empty_and_largest_message too_large_comes_back
            unreliable_is_a_subset full_returns_the_message_and_room_is_announced
            a_full_class_stops_no_other ready_wakes_every_task a_batch_is_taken_in_part
            unreliable_is_never_full a_closed_link_is_unknown close_reason_reaches_the_peer
            close_flushes a_new_link_carries_nothing_of_the_old_one
            shutdown_delivers_what_was_accepted after_shutdown_nothing_is_taken
            a_successor_replaces_its_older_life an_older_life_is_refused
            renew_ends_all_links_and_begins_a_life
        }
    };
    ($fixture:expr; $($case:ident)+) => {
        /// The names of the tests that are made here.
        #[cfg(test)]
        const CONFORMANCE: &[&str] = &[$(stringify!($case)),+];

        #[test]
        fn every_case_of_the_suite_is_run() {
            let known: Vec<&str> = $crate::CASES.iter().map(|(name, _)| *name).collect();
            assert_eq!(CONFORMANCE, known);
        }

        $(#[test]
        fn $case() {
            let (_, case) = $crate::CASES[$crate::CASES
                .iter()
                .position(|(name, _)| *name == stringify!($case))
                .expect("a case of the suite")];
            let runtime = $crate::__tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            let outcome = runtime.block_on(async { case(&$fixture).await });
            if let Err(failure) = outcome {
                panic!("{failure}: {:?}", std::error::Error::source(&failure));
            }
        })+
    };
}
