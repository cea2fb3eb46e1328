use core::ops::Range;

/// What a `${{ }}` refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    Input(String),
    TaskValue(String),
    TaskOutput(String, String),
}

impl Reference {
    /// The one spelling that the executing peer substitutes.
    pub(crate) fn canonical(&self) -> String {
        match self {
            Self::Input(name) => format!("${{{{ inputs.{name} }}}}"),
            Self::TaskValue(task) => format!("${{{{ tasks.{task}.value }}}}"),
            Self::TaskOutput(task, file) => format!("${{{{ tasks.{task}.outputs.{file} }}}}"),
        }
    }
}

/// One `${{ }}` in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Bytes of the text, braces included.
    pub(crate) range: Range<usize>,
    /// What it refers to, or what is wrong with it.
    pub(crate) reference: Result<Reference, String>,
}

/// All `${{ }}` of a text, in order.
pub(crate) fn find(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("${{") {
        let start = from + at;
        let Some(length) = text[start..].find("}}") else {
            let reference = Err("`${{` without `}}`".to_owned());
            found.push(Found { range: start..text.len(), reference });
            break;
        };
        let end = start + length + 2;
        let inner = text[start + 3..end - 2].trim();
        found.push(Found { range: start..end, reference: read(inner) });
        from = end;
    }
    found
}

fn read(inner: &str) -> Result<Reference, String> {
    let parts: Vec<&str> = inner.split('.').collect();
    match parts[..] {
        ["inputs", name] if !name.is_empty() => Ok(Reference::Input(name.to_owned())),
        ["tasks", task, "value"] => Ok(Reference::TaskValue(task.to_owned())),
        ["tasks", task, "outputs", file] => {
            Ok(Reference::TaskOutput(task.to_owned(), file.to_owned()))
        }
        _ => Err(format!(
            "`{inner}` is no reference: expected inputs.NAME, tasks.NAME.value or \
             tasks.NAME.outputs.FILE"
        )),
    }
}

/// The text with inputs put in and references to tasks in their one spelling.
///
/// References that [`find`] found broken stay as they are: the check has reported them.
pub(crate) fn fill(text: &str, input: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for found in find(text) {
        out.push_str(&text[from..found.range.start]);
        match &found.reference {
            Ok(Reference::Input(name)) => out.push_str(&input(name).unwrap_or_default()),
            Ok(reference) => out.push_str(&reference.canonical()),
            Err(_) => out.push_str(&text[found.range.clone()]),
        }
        from = found.range.end;
    }
    out.push_str(&text[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_filled() {
        let text = "a ${{inputs.dir}} b ${{  tasks.t.value }} ${{ tasks.t.outputs.f }}!";
        let references: Vec<_> = find(text).into_iter().map(|found| found.reference).collect();
        assert_eq!(
            references,
            [
                Ok(Reference::Input("dir".into())),
                Ok(Reference::TaskValue("t".into())),
                Ok(Reference::TaskOutput("t".into(), "f".into())),
            ]
        );
        let filled = fill(text, |name| Some(format!("<{name}>")));
        assert_eq!(filled, "a <dir> b ${{ tasks.t.value }} ${{ tasks.t.outputs.f }}!");
    }

    #[test]
    fn what_is_no_reference_says_what_is_expected() {
        for bad in ["${{ dir }}", "${{ }}", "${{ tasks.a }}", "${{ inputs. }}", "${{ inputs.a"] {
            assert!(find(bad)[0].reference.is_err(), "{bad}");
            assert_eq!(fill(bad, |_| None), bad);
        }
        assert!(find("$ {{ a }} $(b) ${c}").is_empty());
    }
}
