//! ImageNet's thousand classes (ILSVRC 2012 to 2017), and which of a network's classes a folder's class is.
//!
//! A class has a WordNet ID, which names its folder, and a name for people. The order is that of the sorted IDs, which
//! is that of the logits of nearly every published weight. The names are torchvision's, which are all different (there
//! are two cranes and two maillots in WordNet's).

use crate::error::{Error, Result, nearest};
use std::collections::HashMap;
use std::sync::LazyLock;

/// `ID <tab> name`, a line for each class.
static CLASSES: LazyLock<Vec<(&str, &str)>> =
    LazyLock::new(|| include_str!("imagenet.tsv").lines().filter_map(|line| line.split_once('\t')).collect());

/// WordNet IDs in the order of the logits.
pub fn ids() -> impl Iterator<Item = &'static str> {
    CLASSES.iter().map(|(id, _)| *id)
}

/// Names in the order of the logits.
pub fn names() -> Vec<String> {
    CLASSES.iter().map(|(_, name)| (*name).to_owned()).collect()
}

/// The name of the class with this WordNet ID.
pub fn name(id: &str) -> Option<&'static str> {
    CLASSES.binary_search_by_key(&id, |(id, _)| id).ok().map(|i| CLASSES[i].1)
}

/// Whether `text` has the form of a WordNet ID of a noun: `n01440764`.
pub fn is_id(text: &str) -> bool {
    text.len() == 9 && text.starts_with('n') && text[1..].bytes().all(|b| b.is_ascii_digit())
}

/// Where each class of some data is among the classes that a network tells apart.
///
/// A class may be called by its WordNet ID on one side and by its name on the other. Capitals, underscores and hyphens do
/// not count where only one class is meant then (a Cardigan is a dog, a cardigan is not). The data may have fewer classes
/// than the network. A network that only numbers its classes (`class 0`, an import without names) takes the data's in their
/// order, if they are as many and not called so themselves.
///
/// # Errors
/// A class of the data that the network does not know, or two that are one to it.
pub fn places(data: &[String], network: &[String]) -> Result<Vec<u32>> {
    // Folders called after the numbers are sorted 0, 1, 10, 2.
    let are_called_so = || data.iter().all(|class| network.contains(class));
    if is_numbered(network) && data.len() == network.len() && !are_called_so() {
        return Ok((0..data.len() as u32).collect());
    }
    let known: HashMap<&str, usize> = network.iter().enumerate().map(|(i, class)| (called(class), i)).collect();
    let mut loosely: HashMap<String, Option<usize>> = HashMap::new();
    for (i, class) in network.iter().enumerate() {
        loosely.entry(folded(class)).and_modify(|place| *place = None).or_insert(Some(i));
    }
    let find =
        |class: &str| known.get(called(class)).copied().or_else(|| loosely.get(&folded(class)).copied().flatten());
    let mut taken: HashMap<usize, String> = HashMap::new();
    let place = |class: &String| {
        let place = find(class).ok_or_else(|| unknown(class, data, network))?;
        match taken.insert(place, class.clone()) {
            None => Ok(place as u32),
            Some(other) => Err(Error::data(format!("\"{other}\" and \"{class}\" are one class to the network"))),
        }
    };
    data.iter().map(place).collect()
}

/// Whether classes have no names, only numbers.
pub fn is_numbered(classes: &[String]) -> bool {
    classes.iter().enumerate().all(|(i, class)| *class == numbered(i))
}

/// What class `i` is called where nothing says its name.
pub fn numbered(i: usize) -> String {
    format!("class {i}")
}

/// A class by its name, where it is given by its WordNet ID.
fn called(class: &str) -> &str {
    name(class).unwrap_or(class)
}

fn folded(class: &str) -> String {
    called(class).to_lowercase().replace(['_', '-'], " ")
}

fn unknown(class: &str, data: &[String], network: &[String]) -> Error {
    let message = match data.len() == network.len() {
        true => format!("class \"{class}\" is unknown to the network"),
        false => {
            let (here, there) = (data.len(), network.len());
            format!("class \"{class}\" is unknown to the network ({here} classes here, {there} there)")
        }
    };
    match nearest(class, network.iter().map(String::as_str)) {
        Some(near) => Error::data(message).with_hint(format!("it knows \"{near}\"; folders are named after classes")),
        None => Error::data(message).with_hint("test on data with classes that the weights were trained on"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_string()).collect()
    }

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
    fn classes_are_found_by_id_by_name_and_by_another_spelling_of_it() {
        let network = names();
        let found = places(&strings(&["n01443537", "tench", "Great_White-Shark"]), &network).expect("three of them");
        assert_eq!(found, [1, 0, 2]);
        let pair = places(&strings(&["cardigan", "Cardigan"]), &network).expect("a garment and a dog");
        assert_eq!([0, 1].map(|i| network[pair[i] as usize].as_str()), ["cardigan", "Cardigan"]);
        let by_id: Vec<String> = ids().map(String::from).collect();
        assert_eq!(places(&network, &by_id).expect("all"), (0..1000).collect::<Vec<u32>>());
    }

    #[test]
    fn classes_that_the_network_does_not_know_are_named() {
        let network = strings(&["cat", "dog"]);
        let error = places(&strings(&["cat", "dogs"]), &network).expect_err("a slip");
        assert_eq!(error.to_string(), "class \"dogs\" is unknown to the network");
        assert_eq!(error.hint(), Some("it knows \"dog\"; folders are named after classes"));
        assert!(places(&strings(&["cat", "Cat"]), &network).is_err(), "two folders for one class");
    }

    #[test]
    fn a_network_without_names_takes_as_many_classes_in_their_order() {
        let network = strings(&["class 0", "class 1"]);
        assert_eq!(places(&strings(&["cat", "dog"]), &network).expect("as many"), [0, 1]);
        assert!(places(&strings(&["cat", "dog", "eel"]), &network).is_err());
        assert!(!is_numbered(&strings(&["cat", "class 1"])));
        let twelve: Vec<String> = (0..12).map(numbered).collect();
        let mut folders = twelve.clone();
        folders.sort();
        assert_eq!(places(&folders, &twelve).expect("called so")[..3], [0, 1, 10]);
    }
}
