/// The known name closest to what was written, if it is close enough to be a slip of the hand.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (written.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(written, name), name))
        .filter(|(distance, name)| *distance <= allowed || name.eq_ignore_ascii_case(written))
        .min()
        .map(|(_, name)| name)
}

/// `did you mean ...?`, or what is known where nothing is near.
pub(crate) fn suggestion<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(name) = nearest(written, known.clone()) {
        return Some(format!("did you mean `{name}`?"));
    }
    let known: Vec<_> = known.into_iter().collect();
    (!known.is_empty()).then(|| format!("known here: {}", known.join(", ")))
}

/// Edits that make one of the other: insert, delete, replace, swap of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["needs", "requires", "payload", "env"];
        assert_eq!(nearest("need", known), Some("needs"));
        assert_eq!(nearest("NEEDS", known), Some("needs"));
        assert_eq!(nearest("palyoad", known), Some("payload"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(
            suggestion("colour", known).as_deref(),
            Some("known here: needs, requires, payload, env")
        );
        assert_eq!(suggestion("x", []), None);
    }
}
