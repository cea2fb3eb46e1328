use std::{fmt::Write as _, fs, path::Path};

use crate::world::World;

/// Each with the exact message it gets: `bad-commands.txt` beside this file.
const BAD: [&str; 25] = [
    "",
    "rnu plan.yaml",
    "run",
    "run no-such-plan.yaml",
    "run plan.yaml --peers 0",
    "run plan.yaml --peers many",
    "run plan.yaml --transport tcp",
    "run plan.yaml --kill 2",
    "run plan.yaml --kill 2@soon",
    "run plan.yaml --kill 9@1s --peers 4",
    "run plan.yaml --input dir",
    "run plan.yaml --input dir=x",
    "run plan.yaml --timeout 5",
    "run plan.yaml --topology hierarchy",
    "run plan.yaml --topology ring",
    "run plan.yaml --budget 1000",
    "run plan.yaml --partition a|b@1s+1s",
    "run plan.yaml --join nowhere",
    "run plan.yaml --kill 1@1s --join 127.0.0.1:1",
    "run -",
    "peer --listen 0.0.0.0:7000",
    "peer --listen 192.0.2.1:7000",
    "peer --capability Hash",
    "peer --mesh-key key",
    "peer --state state --mesh-key missing.json",
];

const MORE: [&str; 21] = [
    "peer --join dns:peers.example.org",
    "peer --join mdns:",
    "peer --join mdnsx",
    "peer --announce 127.0.0.1:7001",
    "peer --announce mdns:two_words",
    "status --join mdns:ants",
    "peer --agent jsonl",
    "peer --agent acp:agent",
    "submit plan.yaml",
    "submit plan.yaml --join 127.0.0.1:0",
    "status --join :1",
    "verify",
    "verify no-such-file.json",
    "verify plan.yaml --peer 12",
    "why",
    "completions tcsh",
    "sim --seed 5",
    "ca init",
    "ca issue ca --out file",
    "ca issue nowhere --client --out file",
    "ca issue ca --key 12 --out file",
];

#[tokio::test]
async fn bad_command_lines_get_their_messages() {
    let world = World::new();
    world.write("plan.yaml", "version: 1\ntasks:\n  hello: {run: echo hello}\n");
    let mut seen = String::new();
    for line in BAD.iter().chain(&MORE) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ended = world.formic(&words).await;
        assert_eq!(ended.stdout, "", "{line}");
        let code = ended.code.unwrap();
        assert_eq!(code, 2, "{line}: {}", ended.stderr);
        writeln!(seen, "$ formic {line}\n{}(exit {code})\n", ended.stderr).unwrap();
    }
    golden("bad-commands.txt", &seen);
}

#[tokio::test]
async fn help_names_every_command() {
    let world = World::new();
    let help = world.formic(&["--help"]).await.exit(0).stdout;
    for command in ["run", "peer", "submit", "status", "why", "verify", "example", "doctor", "man"]
    {
        assert!(help.contains(&format!("  {command}")), "{help}");
    }
    assert!(!help.contains("__exec"), "{help}");
    let version = world.formic(&["--version"]).await.exit(0).stdout;
    assert_eq!(version.trim(), concat!("formic ", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn completions_and_man_page_are_data() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = world.formic(&["completions", shell]).await.exit(0).stdout;
        assert!(script.contains("treehash"), "{shell}");
    }
    assert!(world.formic(&["man"]).await.exit(0).stdout.starts_with(".ie"));
}

#[tokio::test]
async fn the_doctor_is_loud_about_what_is_missing() {
    let world = World::new();
    let good = world.formic(&["doctor", &crate::world::treehash()]).await.exit(0);
    assert!(good.stdout.ends_with("This host is ready.\n"), "{good:?}");
    let plan = world.write(
        "plan.yaml",
        "version: 1\nagents:\n  a: {adapter: jsonl, command: [no-such-program], capabilities: [x]}\n\
         tasks:\n  t: {requires: [x]}\n",
    );
    let bad = world.formic(&["doctor", &plan]).await.exit(3);
    assert!(bad.stdout.contains("MISSING  agent a needs `no-such-program`"), "{bad:?}");
    let file = world.write("file", "");
    let bad = world.formic(&["doctor", "--state", &format!("{file}/dir")]).await.exit(3);
    assert!(bad.stdout.contains("MISSING  state directory"), "{bad:?}");
}

fn golden(name: &str, seen: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli").join(name);
    if std::env::var_os("FORMIC_BLESS").is_some() {
        fs::write(&path, seen).unwrap();
    }
    assert_eq!(seen, fs::read_to_string(&path).unwrap_or_default(), "{name}");
}
