//! Warnings about classes with few training images.

/// Classes that are named before the rest is only counted.
const MAX_NAMED: usize = 5;

/// Returns a warning for each class with no or one image, or twenty times fewer than the largest
/// class.
pub(super) fn imbalance(classes: &[String], labels: &[u32]) -> Vec<String> {
    let mut counts = vec![0usize; classes.len()];
    labels.iter().for_each(|&label| counts[label as usize] += 1);
    let most = (0..counts.len()).max_by_key(|&i| counts[i]).unwrap_or(0);
    let warn = |(class, &n): (&String, &usize)| match n {
        0 => Some(format!("class \"{class}\" has no training image")),
        1 => Some(format!("class \"{class}\" has one training image")),
        n if counts[most] > 20 * n => Some(format!(
            "class \"{class}\" has {n} training images and \"{}\" has {}, more than twenty times as many: networks \
             neglect rare classes",
            classes[most], counts[most]
        )),
        _ => None,
    };
    let mut warnings: Vec<String> = classes.iter().zip(&counts).filter_map(warn).collect();
    if warnings.len() > MAX_NAMED {
        let more = warnings.len() - MAX_NAMED;
        warnings.truncate(MAX_NAMED);
        warnings.push(format!("{more} more classes have as few training images"));
    }
    warnings
}
