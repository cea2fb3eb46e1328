//! The same peers, jobs and faults on every transport: only the factory differs.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "shell/conformance.rs"]
mod conformance;
#[path = "shell/fixture.rs"]
mod fixture;
#[path = "shell/jobs.rs"]
mod jobs;

/// Runs each case on each transport, with a watchdog that turns a hang into a failure.
macro_rules! on_every_transport {
    ($($module:ident :: $case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::fixture::watched(super::$module::$case(super::fixture::memory())).await;
            })+
        }
        mod quic {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::fixture::watched(super::$module::$case(super::fixture::quic())).await;
            })+
        }
    };
}

on_every_transport! {
    jobs::a_nested_job_completes_with_one_certificate_everywhere,
    jobs::a_killed_peer_loses_nothing,
    jobs::a_killed_home_loses_nothing,
    jobs::a_late_peer_takes_work,
}
