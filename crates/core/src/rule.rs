/// Names a rule of a specification where the code obeys it: `true` in every normal build.
///
/// Under `--cfg formic_ablate` it is `false` for the one rule that the environment variable
/// `FORMIC_ABLATE` names at compile time, so that a test can show that it would notice the rule's
/// absence (testing.md section 8).
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
#[doc(hidden)]
#[inline(always)]
pub const fn rule_holds(name: &str) -> bool {
    if !cfg!(formic_ablate) {
        return true;
    }
    match option_env!("FORMIC_ABLATE") {
        Some(ablated) => !same(name.as_bytes(), ablated.as_bytes()),
        None => true,
    }
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}
