//! `rules.txt` and the rules that the code marks.

use std::{collections::BTreeSet, fs, path::Path};

const LIST: &str = "xtask/rules.txt";

/// Who has to notice that a rule is missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Killer {
    /// The crate's unit tests.
    Tests,
    /// Those of them that explore a model.
    Model,
    /// A campaign of this profile of the simulator.
    Sim(String),
}

impl Killer {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Tests => "tests".to_owned(),
            Self::Model => "model".to_owned(),
            Self::Sim(profile) => format!("sim-{profile}"),
        }
    }

    /// Its column in the table.
    pub(crate) const fn column(&self) -> usize {
        match self {
            Self::Tests => 0,
            Self::Model => 1,
            Self::Sim(_) => 2,
        }
    }

    fn parse(word: &str) -> Option<Self> {
        match word {
            "tests" => Some(Self::Tests),
            "model" => Some(Self::Model),
            _ => word.strip_prefix("sim=").map(|profile| Self::Sim(profile.to_owned())),
        }
    }
}

/// A rule, and who has to notice its absence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// `crate/RULE`, as in the code.
    pub(crate) name: String,
    pub(crate) killers: Vec<Killer>,
}

impl Rule {
    pub(crate) fn package(&self) -> &str {
        self.name.split_once('/').map_or("", |(package, _)| package)
    }
}

/// The listed rules of these crates, of all if none is named, after list and code were compared.
pub(crate) fn chosen(crates: &[&str]) -> Result<Vec<Rule>, String> {
    let text = fs::read_to_string(LIST).map_err(|error| format!("{LIST}: {error}"))?;
    let mut rules = parse(&text)?;
    let mut marked = BTreeSet::new();
    collect(Path::new("crates"), &mut marked)?;
    let wanted = |name: &str| {
        crates.is_empty()
            || crates.iter().any(|it| name.split_once('/').is_some_and(|n| n.0 == *it))
    };
    rules.retain(|rule| wanted(&rule.name));
    marked.retain(|name| wanted(name));
    if let Some(named) = crates.iter().find(|it| !rules.iter().any(|rule| rule.package() == **it)) {
        return Err(format!("{LIST} lists no rule of {named:?}"));
    }
    compare(&rules, &marked)?;
    Ok(rules)
}

fn compare(rules: &[Rule], marked: &BTreeSet<String>) -> Result<(), String> {
    let listed: BTreeSet<String> = rules.iter().map(|rule| rule.name.clone()).collect();
    let join =
        |names: Vec<&String>| names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let (lost, unlisted) =
        (join(listed.difference(marked).collect()), join(marked.difference(&listed).collect()));
    match (lost.as_str(), unlisted.as_str()) {
        ("", "") => Ok(()),
        (lost, "") => Err(format!("listed in {LIST} and not in the code: {lost}")),
        ("", new) => Err(format!("marked in the code and not listed in {LIST}: {new}")),
        (lost, new) => {
            Err(format!("{LIST} differs from the code: not in the code {lost}; not listed {new}"))
        }
    }
}

fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let mut rules: Vec<Rule> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let bad = |what: &str| format!("{LIST}:{}: {what}: {line}", number + 1);
        let mut words = line.split_whitespace();
        let Some(name) = words.next().filter(|name| !name.starts_with('#')) else { continue };
        if !name.contains('/') {
            return Err(bad("a rule is CRATE/RULE"));
        }
        let killers: Option<Vec<Killer>> = words.map(Killer::parse).collect();
        let killers = killers.ok_or_else(|| bad("killers are tests, model, sim=PROFILE"))?;
        if killers.is_empty() {
            return Err(bad("nothing would notice"));
        }
        if rules.iter().any(|rule| rule.name == name) {
            return Err(bad("listed twice"));
        }
        rules.push(Rule { name: name.to_owned(), killers });
    }
    Ok(rules)
}

/// All names in `rule!("..")` below a folder. Documentation of the macro itself is no use of it.
fn collect(folder: &Path, names: &mut BTreeSet<String>) -> Result<(), String> {
    let text = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(text)? {
        let path = entry.map_err(text)?.path();
        if path.is_dir() {
            collect(&path, names)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            names.extend(marks(&fs::read_to_string(&path).map_err(text)?));
        }
    }
    Ok(())
}

fn marks(source: &str) -> Vec<String> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = code.flat_map(|line| line.split("rule!(\"").skip(1));
    let names = names.filter_map(|rest| rest.split_once('"').map(|(name, _)| name.to_owned()));
    names.filter(|name| !name.starts_with("no/")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(marked: &[&str]) -> BTreeSet<String> {
        marked.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_rule_is_a_name_and_its_killers() {
        let rules = parse("# all\n\na/T1 tests sim=node\n").unwrap();
        assert_eq!(rules[0].killers, [Killer::Tests, Killer::Sim("node".to_owned())]);
        assert_eq!(rules[0].package(), "a");
    }

    #[test]
    fn a_line_that_could_notice_nothing_is_refused() {
        for line in ["a/T1", "T1 tests", "a/T1 luck", "a/T1 tests\na/T1 model"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn list_and_code_name_the_same_rules() {
        let rules = parse("a/T1 tests").unwrap();
        assert_eq!(compare(&rules, &names(&["a/T1"])), Ok(()));
        assert!(compare(&rules, &names(&[])).unwrap_err().contains("not in the code: a/T1"));
        assert!(compare(&rules, &names(&["a/T1", "a/T2"])).unwrap_err().contains("a/T2"));
    }

    #[test]
    fn marks_are_found_in_code_only() {
        let source =
            "if rule!(\"a/T1\") {}\n/// rule!(\"a/T2\")\nx(rule!(\"b/c\"), rule!(\"b/d\"));";
        assert_eq!(marks(source), ["a/T1", "b/c", "b/d"]);
    }
}
