//! "Did you mean": the known name nearest to a misspelt one.

/// The known name within a third of the misspelt one's length (at least one letter), if there is one.
pub(crate) fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.chars().take(64).flat_map(char::to_lowercase).collect();
    let limit = (wanted.len() / 3).clamp(1, 4);
    known
        .map(|candidate| (distance(&wanted, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace or swap with their neighbour, without regard to case and underscores.
fn distance(wanted: &[char], candidate: &str) -> usize {
    let skip = |c: &char| *c != '_';
    let a: Vec<char> = wanted.iter().copied().filter(skip).collect();
    let b: Vec<char> = candidate
        .chars()
        .flat_map(char::to_lowercase)
        .filter(skip)
        .collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replace = last[j] + usize::from(a[i] != b[j]);
            let mut best = replace.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_far_off() {
        let known = ["learning_rate", "stop", "seed", "policy", "start"];
        let find = |name| closest(name, known.into_iter());
        assert_eq!(find("learningrate"), Some("learning_rate"));
        assert_eq!(find("lerning_rate"), Some("learning_rate"));
        assert_eq!(find("Seed"), Some("seed"));
        assert_eq!(find("sede"), Some("seed"));
        assert_eq!(find("stpo"), Some("stop"));
        assert_eq!(find("zzz"), None);
        assert_eq!(find(""), None);
    }
}
