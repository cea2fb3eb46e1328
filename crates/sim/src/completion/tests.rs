use super::*;

/// The short campaign of `ci`.
#[test]
fn a_campaign_holds() {
    let report = match campaign(0, 300) {
        Ok(report) => report,
        Err(violation) => panic!("{violation}"),
    };
    assert!(report.crashes > 100 && report.suspicions > 50, "{report:?}");
    assert!(report.takeovers > 0 && report.respawns > 100, "{report:?}");
    assert!(report.to_complete.count > 0, "{report:?}");
}
