//! Did you mean: the nearest of the known words.

/// The known word that `word` most likely stands for, if one is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + word.chars().count() / 4;
    known.into_iter().map(|known| (distance(word, known), known)).filter(|(far, _)| *far <= limit).min().map(|(_, k)| k)
}

/// Levenshtein's distance: letters to insert, delete or replace; two neighbours swapped count once.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (row, x) in a.chars().enumerate() {
        let mut line = vec![row + 1];
        let mut left = row + 1;
        let mut previous_y = None;
        for (column, ((y, diagonal), above)) in b.iter().zip(&last).zip(last.iter().skip(1)).enumerate() {
            left = (diagonal + usize::from(x != *y)).min(above + 1).min(left + 1);
            if previous == Some(*y) && previous_y == Some(x) {
                let swapped = column.checked_sub(1).and_then(|two| before_last.get(two));
                left = left.min(swapped.map_or(left, |far| far + 1));
            }
            line.push(left);
            previous_y = Some(*y);
        }
        previous = Some(x);
        before_last = std::mem::replace(&mut last, line);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        for (a, b, far) in
            [("", "", 0), ("a", "", 1), ("retention", "retenton", 1), ("port", "prot", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), far, "{a} {b}");
            assert_eq!(distance(b, a), far, "{b} {a}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(nearest("retenton", ["retention", "size_limit"]), Some("retention"));
        assert_eq!(nearest("colour", ["retention", "size_limit"]), None);
    }
}
