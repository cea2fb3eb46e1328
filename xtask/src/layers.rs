//! Who may depend on whom: the table of architecture.md against `cargo metadata`.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;

/// A layer's members may depend on what is listed, and on nothing else of the workspace.
struct Rule {
    package: &'static str,
    /// Pure: no clock, entropy, threads, I/O; enforced by a copy of the class's `clippy.toml`.
    pure: bool,
    may_use: &'static [&'static str],
}

const L0_TO_L3: &[&str] = &[
    "formic-core",
    "formic-identity",
    "formic-register",
    "formic-mesh",
    "formic-healing",
    "formic-completion",
    "formic-consensus",
    "formic-pheromones",
    "formic-work",
    "formic-node",
];

const RULES: &[Rule] = &[
    Rule { package: "formic-core", pure: true, may_use: &[] },
    Rule { package: "formic-identity", pure: true, may_use: &["formic-core"] },
    Rule { package: "formic-register", pure: true, may_use: &["formic-core"] },
    Rule { package: "formic-mesh", pure: true, may_use: &["formic-core", "formic-identity"] },
    Rule { package: "formic-healing", pure: true, may_use: &["formic-core", "formic-register"] },
    Rule { package: "formic-completion", pure: true, may_use: &["formic-core", "formic-register"] },
    Rule { package: "formic-consensus", pure: true, may_use: &["formic-core", "formic-identity"] },
    Rule { package: "formic-work", pure: true, may_use: &["formic-core"] },
    Rule { package: "formic-pheromones", pure: true, may_use: &["formic-core"] },
    Rule { package: "formic-node", pure: true, may_use: L0_TO_L3 },
    Rule { package: "formic-conformance", pure: false, may_use: &["formic-core"] },
    Rule { package: "formic-memory", pure: false, may_use: &["formic-core"] },
    Rule { package: "formic-quic", pure: false, may_use: &["formic-core", "formic-identity"] },
    Rule { package: "formic-sim", pure: true, may_use: L0_TO_L3 },
    Rule { package: "formic-campaign", pure: false, may_use: &["formic-core", "formic-sim"] },
    Rule { package: "formic", pure: false, may_use: L0_TO_L3 },
    Rule { package: "formic-agents", pure: false, may_use: &["formic", "formic-core"] },
    Rule { package: "formic-cli", pure: false, may_use: &["*"] },
    Rule { package: "formic-tests", pure: false, may_use: &["*"] },
    Rule { package: "formic-benches", pure: false, may_use: &["*"] },
    Rule { package: "formic-examples", pure: false, may_use: &["*"] },
    Rule { package: "xtask", pure: false, may_use: &["formic-campaign", "formic-sim"] },
];

/// External packages that a pure crate must not depend on.
const IMPURE: &[&str] = &["tokio", "getrandom", "rand", "rustix", "libc", "quinn", "redb"];

/// One package as `cargo metadata` shows it.
#[derive(Debug)]
struct Package {
    name: String,
    folder: String,
    dependencies: Vec<String>,
}

pub(crate) fn run() -> Result<(), String> {
    let packages = packages(&metadata()?)?;
    let mut faults = check(&packages);
    faults.extend(check_classes(&packages));
    if faults.is_empty() {
        println!("layers: {} packages, every dependency goes down", packages.len());
        return Ok(());
    }
    Err(format!("layers are broken:\n  {}", faults.join("\n  ")))
}

fn metadata() -> Result<Value, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

fn packages(metadata: &Value) -> Result<Vec<Package>, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let mut packages = Vec::new();
    for package in list {
        let manifest = text(&package["manifest_path"]);
        let folder = manifest.trim_end_matches("/Cargo.toml").to_owned();
        let dependencies = package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .map(|dependency| text(&dependency["name"]))
            .collect();
        packages.push(Package { name: text(&package["name"]), folder, dependencies });
    }
    Ok(packages)
}

/// Every broken rule, one sentence each.
fn check(packages: &[Package]) -> Vec<String> {
    let rules: BTreeMap<&str, &Rule> = RULES.iter().map(|rule| (rule.package, rule)).collect();
    let members: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut faults = Vec::new();
    for package in packages {
        let Some(rule) = rules.get(package.name.as_str()) else {
            faults.push(format!("{} has no layer: add it to xtask/src/layers.rs", package.name));
            continue;
        };
        for used in &package.dependencies {
            let inside = members.contains(&used.as_str());
            if inside && !rule.may_use.contains(&"*") && !rule.may_use.contains(&used.as_str()) {
                let allowed = rule.may_use.join(", ");
                faults.push(format!(
                    "{} depends on {used}; its layer allows: {}",
                    package.name,
                    if allowed.is_empty() { "nothing" } else { &allowed }
                ));
            }
            if rule.pure && IMPURE.contains(&used.as_str()) {
                faults.push(format!("{} is pure and depends on {used}", package.name));
            }
        }
    }
    faults
}

/// A `clippy.toml` replaces its parents' wholly, so the pure class is one text, copied.
fn check_classes(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut first: Option<(String, String)> = None;
    for rule in RULES {
        let Some(package) = packages.iter().find(|package| package.name == rule.package) else {
            continue;
        };
        let path = Path::new(&package.folder).join("clippy.toml");
        match (rule.pure, fs::read_to_string(&path)) {
            (true, Err(_)) => faults.push(format!("{} lacks the pure clippy.toml", package.name)),
            (false, Ok(_)) => faults.push(format!("{} must not have a clippy.toml", package.name)),
            (false, Err(_)) => {}
            (true, Ok(text)) => match &first {
                None => first = Some((package.name.clone(), text)),
                Some((name, known)) if *known != text => {
                    faults.push(format!("clippy.toml of {} and {name} differ", package.name));
                }
                Some(_) => {}
            },
        }
        let manifest = fs::read_to_string(Path::new(&package.folder).join("Cargo.toml"));
        if !manifest.is_ok_and(|text| text.contains("[lints]\nworkspace = true")) {
            faults.push(format!("{} does not take the workspace's lints", package.name));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Package {
        let dependencies = dependencies.iter().map(ToString::to_string).collect();
        Package { name: name.to_owned(), folder: String::new(), dependencies }
    }

    #[test]
    fn dependencies_that_go_down_pass() {
        let packages = [
            package("formic-core", &["serde"]),
            package("formic-work", &["formic-core"]),
            package("formic-node", &["formic-work", "formic-core"]),
        ];
        assert_eq!(check(&packages), Vec::<String>::new());
    }

    #[test]
    fn siblings_must_not_import_each_other() {
        let packages = [package("formic-work", &["formic-mesh"]), package("formic-mesh", &[])];
        assert_eq!(
            check(&packages),
            ["formic-work depends on formic-mesh; its layer allows: formic-core"]
        );
    }

    #[test]
    fn a_pure_crate_has_no_runtime() {
        let faults = check(&[package("formic-completion", &["tokio"])]);
        assert_eq!(faults, ["formic-completion is pure and depends on tokio"]);
    }

    #[test]
    fn a_package_without_a_layer_is_named() {
        let faults = check(&[package("formic-new", &[])]);
        assert_eq!(faults, ["formic-new has no layer: add it to xtask/src/layers.rs"]);
    }
}
