use core::{fmt::Write as _, ops::Range};

/// Columns of a line that are shown.
const COLUMNS_MAX: usize = 160;

/// A file of a plan, as it was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path as the user wrote it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// One thing that is wrong with a plan, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Bytes of the source it is about.
    pub place: Range<usize>,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    pub(crate) fn new(place: &Range<usize>, message: impl Into<String>) -> Self {
        Self { place: place.clone(), message: message.into(), help: None }
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }

    /// `FILE:LINE:COLUMN: error: MESSAGE`, the line, a marker beneath it, and the help.
    pub fn render(&self, source: &Source) -> String {
        let start = floor(&source.text, self.place.start);
        let line_start = source.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = source.text[line_start..].lines().next().unwrap_or("");
        let number = source.text[..line_start].matches('\n').count() + 1;
        let before = &source.text[line_start..start];
        let column = before.chars().count() + 1;
        let end = floor(&source.text, self.place.end.min(line_start + line.trim_end().len()));
        let width = source.text.get(start..end).map_or(1, |text| text.chars().count().max(1));
        // Tabs stay tabs, so that the marker stands beneath its text however wide they are shown.
        let pad: String = before.chars().map(|c| if c == '\t' { c } else { ' ' }).collect();
        let gutter = " ".repeat(number.to_string().len());
        let mut out = format!("{}:{number}:{column}: error: {}\n", source.name, self.message);
        // Writing to a String cannot fail.
        if column + width <= COLUMNS_MAX {
            let (line, mark) = (show(line), "^".repeat(width));
            let _ = write!(out, " {number} | {line}\n {gutter} | {pad}{mark}");
        } else {
            // Far out in a long line: what stands there is shown, at the left.
            let there: String = line[before.len()..].chars().take(COLUMNS_MAX / 2).collect();
            let mark = "^".repeat(width.min(COLUMNS_MAX / 2));
            let _ = write!(out, " {number} | ... {}\n {gutter} |     {mark}", show(&there));
        }
        if let Some(help) = &self.help {
            let _ = write!(out, "\n {gutter} = {help}");
        }
        out
    }
}

/// All problems of one plan, in the order of the text.
pub(crate) fn render_all(problems: &[Problem], source: &Source) -> String {
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by_key(|problem| problem.place.start);
    let mut texts: Vec<String> = sorted.iter().map(|problem| problem.render(source)).collect();
    texts.dedup();
    let count = texts.len();
    if count > 1 {
        texts.push(format!("{count} errors in {}: nothing was started", source.name));
    }
    texts.join("\n")
}

/// A line as it is shown: no control character reaches the terminal.
fn show(line: &str) -> String {
    let line = line.trim_end();
    let clean = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    let mut shown: String = line.chars().take(COLUMNS_MAX).map(clean).collect();
    if line.chars().nth(COLUMNS_MAX).is_some() {
        shown.push_str(" ...");
    }
    shown
}

fn floor(text: &str, byte: usize) -> usize {
    let byte = byte.min(text.len());
    (0..=byte).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
