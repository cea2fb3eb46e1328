use serde_json::{Value, json};

use crate::world::World;

/// Two tasks that are judged; the peer p3 says no to everything, with zeros.
fn plan(threshold: &str, quality: &str) -> String {
    let judged = format!(
        r#"
    validate:
      dimensions: {{tests: 0.8, quality: 0.8}}
      threshold: {threshold}
      deadline: 30s
      run: |
        if [ "$FORMIC_PEER" = p3 ]; then
          echo '{{"approve": false, "tests": 0, "quality": 0}}'
        else
          sleep 0.5 # The liar is heard: it is not decided without it.
          test "$VALUE" = built || exit 1
          echo '{{"tests": 0.93, "quality": {quality}}}'
        fi"#
    );
    format!(
        r#"
version: 1
tasks:
  build:
    run: echo built{judged}
  after:
    needs: [build]
    run: echo "$BUILT"
    env: {{BUILT: "${{{{ tasks.build.value }}}}"}}{judged}
"#
    )
}

fn words<'a>(plan: &'a str, certificate: &'a str, peers: &'a str) -> Vec<&'a str> {
    let words = ["run", plan, "--peers", peers, "--transport", "quic"];
    [&words[..], &["--timeout", "60s", "--certificate", certificate]].concat()
}

#[tokio::test]
async fn a_validator_that_lies_about_everything_changes_nothing_and_is_named() {
    let world = World::new();
    let path = world.write("plan.yaml", &plan("quorum", "0.9"));
    let certificate = world.text("certificate.json");
    let run = [&words(&path, &certificate, "5")[..], &["--json", "--seed", "1"]].concat();
    let report = world.formic(&run).await.exit(0).json();
    assert_eq!(report["result"], json!({"build": "built", "after": "built"}));
    let validations = report["validations"].as_array().unwrap();
    assert_eq!(validations.len(), 2, "{report}");
    for validation in validations {
        assert_eq!(validation["outcome"], "approved", "{validation}");
        assert_eq!(validation["liars"], json!([]), "it told no lie that can be proven");
    }
    let against = validations.iter().flat_map(|it| it["against"].as_array().unwrap());
    let named: Vec<&str> = against.map(|who| who.as_str().unwrap()).collect();
    // It judges at least one task that is not its own.
    assert!(!named.is_empty() && named.iter().all(|who| who.starts_with("p3 (")), "{report}");
    let why = world.formic(&["why", "build"]).await.exit(0).stdout;
    assert!(why.contains("the voters decided: approved"), "{why}");
    assert!(why.contains("p3 ("), "{why}");
    verified(&world, &validations[0]).await;
}

/// A real decision verifies, alone and pinned; with any byte changed it does not.
async fn verified(world: &World, validation: &Value) {
    let path = validation["file"].as_str().unwrap();
    let pinned = validation["electorate"].as_str().unwrap();
    let told = world.formic(&["verify", path]).await.exit(0).stdout;
    assert!(told.contains("unpinned:") && told.contains("ballot"), "{told}");
    let told = world.formic(&["verify", path, "--electorate", pinned]).await.exit(0).stdout;
    assert!(told.contains("approved:") && !told.contains("unpinned:"), "{told}");
    let other = "ab".repeat(32);
    let refused = world.formic(&["verify", path, "--electorate", &other]).await.exit(7).stderr;
    assert!(refused.contains("not the pinned one"), "{refused}");
    let bytes = std::fs::read(path).unwrap();
    for position in (0..bytes.len()).step_by(bytes.len() / 20) {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        std::fs::write(world.path("changed.json"), &changed).unwrap();
        world.formic(&["verify", &world.text("changed.json")]).await.exit(7);
    }
}

#[tokio::test]
async fn one_dimension_under_its_floor_rejects_and_is_tried_again_as_often_as_the_plan_says() {
    let world = World::new();
    let text = plan("quorum", "0.62")
        .replace("run: echo built", "run: echo built\n    retry: {max: 1, on: [rejected]}");
    let path = world.write("plan.yaml", &text);
    let certificate = world.text("certificate.json");
    let run = [&words(&path, &certificate, "4")[..], &["--json"]].concat();
    let report = world.formic(&run).await.exit(1).json();
    let error = report["errors"]["build"].as_str().unwrap();
    assert!(error.contains("rejected by ballots"), "{error}");
    assert_eq!(report["validations"].as_array().unwrap().len(), 2, "two tries: {report}");
    assert!(report["errors"]["after"].as_str().unwrap().contains("needs build, which failed"));
}

#[tokio::test]
async fn check_says_in_words_when_a_threshold_means_unanimity() {
    let world = World::new();
    let path = world.write("plan.yaml", &plan("0.9", "0.9"));
    let told = world.formic(&["run", "--check", &path, "--peers", "7"]).await.exit(0).stderr;
    assert!(told.contains("all 6 must approve; set threshold: quorum (4 of 6)"), "{told}");
    let path = world.write("plan.yaml", &plan("quorum", "0.9"));
    let told = world.formic(&["run", "--check", &path, "--peers", "7"]).await.exit(0).stderr;
    assert_eq!(told, "");
}
