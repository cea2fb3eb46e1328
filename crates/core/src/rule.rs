/// Names a rule of a specification where the code obeys it: `true` in every normal build.
///
/// Under `--cfg formic_ablate` it is `false` for the one rule that the environment variable
/// `FORMIC_ABLATE` names when the process first asks, so that one build serves all mutants and a test can
/// show that it would notice the rule's absence (testing.md section 8).
///
/// ```
/// let children_done = true;
/// assert!(!(formic_core::rule!("completion/T5") && !children_done));
/// ```
#[macro_export]
macro_rules! rule {
    ($name:literal) => {
        $crate::rule_holds($name)
    };
}

/// What [`rule!`](crate::rule) expands to.
#[cfg(not(formic_ablate))]
#[doc(hidden)]
#[inline(always)]
pub const fn rule_holds(_name: &str) -> bool {
    true
}

/// What [`rule!`](crate::rule) expands to in a build for mutants.
#[cfg(formic_ablate)]
#[doc(hidden)]
#[expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a build for mutants only: one build serves all of them, so the name comes at run time"
)]
pub fn rule_holds(name: &str) -> bool {
    static ABLATED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    ABLATED.get_or_init(|| std::env::var("FORMIC_ABLATE").ok()).as_deref() != Some(name)
}

#[cfg(all(test, not(formic_ablate)))]
mod tests {
    #[test]
    fn a_normal_build_keeps_every_rule_at_no_cost() {
        const HOLDS: bool = crate::rule!("no/such-rule"); // No environment at compile time.
        assert_eq!(HOLDS, crate::rule!("no/other-rule"));
        assert!(std::hint::black_box(HOLDS));
    }
}
