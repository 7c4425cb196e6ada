//! Which of a network's classes each class of a data set is.

use super::imagenet::name;
use crate::error::{Error, Result, nearest};
use std::collections::HashMap;

/// Returns, for each class of a data set, the index of the same class in a network's output.
///
/// A class matches by its WordNet ID or its name, whichever either side uses. Capitals, underscores
/// and hyphens are ignored unless that makes two classes equal (a Cardigan is a dog, a cardigan is
/// a garment). The data may have fewer classes than the network. A network that only numbers its
/// classes (`class 0`, an import without names) takes the data's classes in their order, if there
/// are as many and they are not named like the network's.
///
/// # Errors
/// Fails if the network does not have a class of the data, or if two classes of the data match the
/// same class of the network.
///
/// ```
/// let network = ["cat", "great white shark"].map(String::from);
/// let data = ["Great_White-Shark", "cat"].map(String::from);
/// assert_eq!(residual::classes::match_classes(&data, &network)?, [1, 0]);
/// # Ok::<(), residual::Error>(())
/// ```
pub fn match_classes(data: &[String], network: &[String]) -> Result<Vec<u32>> {
    // Folders named `class 0`, `class 1`, … are sorted 0, 1, 10, 2, so they must match by name.
    let have_those_names = || data.iter().all(|class| network.contains(class));
    if is_numbered(network) && data.len() == network.len() && !have_those_names() {
        return Ok((0..data.len() as u32).collect());
    }
    let known: HashMap<&str, usize> = network.iter().enumerate().map(|(i, class)| (display_name(class), i)).collect();
    let mut loosely: HashMap<String, Option<usize>> = HashMap::new();
    for (i, class) in network.iter().enumerate() {
        loosely.entry(folded(class)).and_modify(|index| *index = None).or_insert(Some(i));
    }
    let find = |class: &str| {
        known.get(display_name(class)).copied().or_else(|| loosely.get(&folded(class)).copied().flatten())
    };
    let mut taken: HashMap<usize, String> = HashMap::new();
    let index = |class: &String| {
        let index = find(class).ok_or_else(|| unknown(class, data, network))?;
        match taken.insert(index, class.clone()) {
            None => Ok(index as u32),
            Some(other) => {
                let message = format!("\"{other}\" and \"{class}\" are the same class of the network");
                Err(Error::data(message).with_hint("merge the two folders"))
            }
        }
    };
    data.iter().map(index).collect()
}

/// Returns whether classes have no names, only numbers: `class 0`, `class 1`, ….
pub fn is_numbered(classes: &[String]) -> bool {
    classes.iter().enumerate().all(|(i, class)| *class == numbered(i))
}

/// Returns the name of class `i` of a network without class names: `class 0`.
pub fn numbered(i: usize) -> String {
    format!("class {i}")
}

/// Returns a class's name if it is given by its WordNet ID, else the class as it is.
fn display_name(class: &str) -> &str {
    name(class).unwrap_or(class)
}

/// Returns the spelling by which classes are compared loosely.
fn folded(class: &str) -> String {
    display_name(class).to_lowercase().replace(['_', '-'], " ")
}

/// Returns the error for a class that the network does not have.
fn unknown(class: &str, data: &[String], network: &[String]) -> Error {
    let message = match data.len() == network.len() {
        true => format!("the network has no class \"{class}\""),
        false => {
            let (here, there) = (data.len(), network.len());
            format!("the network has no class \"{class}\" (the data has {here} classes, the network {there})")
        }
    };
    match nearest(class, network.iter().map(String::as_str)) {
        Some(near) => {
            Error::data(message).with_hint(format!("it has \"{near}\"; folders must have the names of classes"))
        }
        None => Error::data(message).with_hint("use data with the classes that the weights were trained on"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::imagenet::{ids, names};
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_string()).collect()
    }

    #[test]
    fn classes_are_found_by_id_by_name_and_by_another_spelling_of_it() {
        let network = names();
        let found =
            match_classes(&strings(&["n01443537", "tench", "Great_White-Shark"]), &network).expect("three of them");
        assert_eq!(found, [1, 0, 2]);
        let pair = match_classes(&strings(&["cardigan", "Cardigan"]), &network).expect("a garment and a dog");
        assert_eq!([0, 1].map(|i| network[pair[i] as usize].as_str()), ["cardigan", "Cardigan"]);
        let by_id: Vec<String> = ids().map(String::from).collect();
        assert_eq!(match_classes(&network, &by_id).expect("all"), (0..1000).collect::<Vec<u32>>());
    }

    #[test]
    fn classes_that_the_network_does_not_know_are_named() {
        let network = strings(&["cat", "dog"]);
        let error = match_classes(&strings(&["cat", "dogs"]), &network).expect_err("a slip");
        assert_eq!(error.to_string(), "the network has no class \"dogs\"");
        assert_eq!(error.hint(), Some("it has \"dog\"; folders must have the names of classes"));
        assert!(match_classes(&strings(&["cat", "Cat"]), &network).is_err(), "two folders for one class");
    }

    #[test]
    fn a_network_without_names_takes_as_many_classes_in_their_order() {
        let network = strings(&["class 0", "class 1"]);
        assert_eq!(match_classes(&strings(&["cat", "dog"]), &network).expect("as many"), [0, 1]);
        assert!(match_classes(&strings(&["cat", "dog", "eel"]), &network).is_err());
        assert!(!is_numbered(&strings(&["cat", "class 1"])));
        let twelve: Vec<String> = (0..12).map(numbered).collect();
        let mut folders = twelve.clone();
        folders.sort();
        assert_eq!(match_classes(&folders, &twelve).expect("called so")[..3], [0, 1, 10]);
    }
}
