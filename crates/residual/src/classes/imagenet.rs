//! ImageNet's thousand classes (ILSVRC 2012 to 2017).
//!
//! A class has a WordNet ID, which names its folder, and a name for people. Classes are in the
//! order of their sorted IDs, which is the order of the logits of nearly every published weight.
//! The names are torchvision's, which are all different (WordNet has two cranes and two maillots).

use std::sync::LazyLock;

/// A class: a row of the table.
struct Class {
    /// WordNet ID.
    id: &'static str,
    name: &'static str,
    /// Its number in the development kit (`ILSVRC2012_ID`), from 1.
    number: usize,
}

/// The classes in the order of their IDs, from lines of ID, name and number, divided by tabs.
static CLASSES: LazyLock<Vec<Class>> = LazyLock::new(|| {
    let class = |line: &'static str| {
        let mut cells = line.split('\t');
        Some(Class { id: cells.next()?, name: cells.next()?, number: cells.next()?.parse().ok()? })
    };
    include_str!("imagenet.tsv").lines().filter_map(class).collect()
});

/// Positions in [`CLASSES`] by the development kit's number, less 1.
static BY_NUMBER: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let mut order: Vec<usize> = (0..CLASSES.len()).collect();
    order.sort_unstable_by_key(|&i| CLASSES[i].number);
    order
});

/// Returns the WordNet IDs in the order of the logits.
///
/// ```
/// assert_eq!(residual::classes::imagenet::ids().next(), Some("n01440764"));
/// ```
pub fn ids() -> impl Iterator<Item = &'static str> {
    CLASSES.iter().map(|class| class.id)
}

/// Returns the names in the order of the logits.
pub fn names() -> Vec<String> {
    CLASSES.iter().map(|class| class.name.to_owned()).collect()
}

/// Returns the name of the class with this WordNet ID.
///
/// ```
/// assert_eq!(residual::classes::imagenet::name("n01440764"), Some("tench"));
/// ```
pub fn name(id: &str) -> Option<&'static str> {
    CLASSES.binary_search_by_key(&id, |class| class.id).ok().map(|i| CLASSES[i].name)
}

/// Returns the WordNet ID of the class that the ILSVRC 2012 development kit gives this number, 1 to
/// 1000 (`ILSVRC2012_ID`), which is not the order of the IDs.
///
/// ```
/// use residual::classes::imagenet::{id_of_number, name};
/// assert_eq!(id_of_number(1).and_then(name), Some("kit fox"));
/// ```
pub fn id_of_number(number: usize) -> Option<&'static str> {
    BY_NUMBER.get(number.checked_sub(1)?).map(|&i| CLASSES[i].id)
}

/// Returns whether `text` has the form of a WordNet ID of a noun, such as `n01440764`.
pub fn is_id(text: &str) -> bool {
    text.len() == 9 && text.starts_with('n') && text[1..].bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_a_thousand_sorted_ids_with_different_names() {
        let all: Vec<&str> = ids().collect();
        assert_eq!(all.len(), 1000);
        assert!(all.is_sorted_by(|a, b| a < b) && all.iter().all(|id| is_id(id)));
        assert_eq!(names().into_iter().collect::<std::collections::BTreeSet<_>>().len(), 1000);
        assert_eq!(
            (name("n01440764"), name("n15075141"), name("n00000001")),
            (Some("tench"), Some("toilet tissue"), None)
        );
    }

    #[test]
    fn the_development_kits_numbers_are_each_used_once() {
        let known = [(1, "kit fox"), (2, "English setter"), (449, "tench"), (450, "goldfish"), (1000, "dumbbell")];
        for (number, expected) in known {
            assert_eq!(id_of_number(number).and_then(name), Some(expected), "{number}");
        }
        assert!(CLASSES.iter().all(|class| id_of_number(class.number) == Some(class.id)));
        assert_eq!((id_of_number(0), id_of_number(1001)), (None, None));
    }
}
