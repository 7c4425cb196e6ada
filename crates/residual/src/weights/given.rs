//! What is known of weights beyond their file: how images were prepared in training, and what the classes are called.
//!
//! A preset takes what its program does by default. Weights of a newer recipe, of timm's `config.json`, or of one's own
//! training were tested otherwise, and neither a `.pth` nor its keys say so.

use super::Metadata;

use crate::error::{Error, Result};
use crate::image::{Filter, Normalize, Resize};
use std::collections::HashSet;
use std::path::Path;

/// What replaces the preset's word; what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Given {
    /// The shorter side before the centre is cut out.
    pub scale: Option<usize>,
    /// How images are brought to the network's size.
    pub resize: Option<Resize>,
    /// The filter that does it.
    pub filter: Option<Filter>,
    /// Mean of each channel, on a scale of 0 to 1.
    pub mean: Option<Vec<f32>>,
    /// Deviation of each channel, on a scale of 0 to 1.
    pub std: Option<Vec<f32>>,
    /// Names of the classes, in the order of the logits.
    pub classes: Option<Vec<String>>,
}

/// Names of classes in a text file, one on each line.
///
/// # Errors
/// A file that cannot be read, an empty line between names, a name that stands there twice.
pub fn class_names(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
    // Some editors begin a file with a mark of its encoding.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let names: Vec<String> = text.trim_end().lines().map(|line| line.trim().to_owned()).collect();
    let mut seen = HashSet::new();
    for (line, name) in names.iter().enumerate() {
        let why = match name.as_str() {
            "" => "an empty line is no class's name".to_owned(),
            name if !seen.insert(name) => format!("\"{name}\" stands there twice"),
            _ => continue,
        };
        return Err(Error::data(format!("{}:{}: {why}", path.display(), line + 1))
            .with_hint("it takes the name of each class on a line of its own, in the order of the logits"));
    }
    Ok(names)
}

impl Metadata {
    /// The same with what is `given` in place of what it says.
    ///
    /// # Errors
    /// Another number of names than of classes, of values than of channels, a deviation that is not above 0, a scale that
    /// holds no window of the network's size.
    pub fn with(mut self, given: &Given) -> Result<Self> {
        let images = &mut self.preprocessing;
        let side = images.height.max(images.width);
        images.resize = given.resize.unwrap_or(images.resize);
        images.filter = given.filter.unwrap_or(images.filter);
        if images.resize != Resize::Crop {
            images.scale = None;
        }
        if let Some(scale) = given.scale {
            if scale < side {
                let message = format!("images whose shorter side is {scale} hold no window of {side}x{side} pixels");
                return Err(Error::usage(message).with_hint(format!("--scale takes a number from {side} upwards")));
            }
            if images.resize != Resize::Crop {
                return Err(Error::usage(format!("--scale belongs to --resize crop, not {}", images.resize)));
            }
            images.scale = Some(scale);
        }
        match &mut images.normalize {
            Normalize::Channel { mean, std } => {
                for (name, values, given) in [("mean", mean, &given.mean), ("std", std, &given.std)] {
                    if let Some(given) = given {
                        check_channels(name, given, images.channels)?;
                        values.clone_from(given);
                    }
                }
            }
            Normalize::Pixel { .. } if given.mean.is_some() || given.std.is_some() => {
                return Err(Error::usage(
                    "--mean and --std are of channels, and the file has a whole image as its mean",
                ));
            }
            Normalize::Pixel { .. } => {}
        }
        if let Some(names) = &given.classes {
            if names.len() != self.classes.len() {
                let message = format!("{} names for {} classes", names.len(), self.classes.len());
                return Err(Error::data(message).with_hint("one for each class, in the order of the logits"));
            }
            self.classes.clone_from(names);
        }
        Ok(self)
    }
}

/// Whether there is one value for each channel, and a deviation can be divided by.
fn check_channels(name: &str, values: &[f32], channels: usize) -> Result<()> {
    if values.len() != channels {
        let message = format!("--{name} has {} values, and images have {channels} channels", values.len());
        return Err(Error::usage(message).with_hint(format!("such as --{name} 0.5,0.5,0.5, on a scale of 0 to 1")));
    }
    let fits = |value: &f32| value.is_finite() && (name == "mean" || *value > 0.0) && *value <= 1.0;
    match values.iter().find(|value| !fits(value)) {
        None => Ok(()),
        Some(value) => {
            Err(Error::usage(format!("--{name} of {value} cannot be")).with_hint("values are on a scale of 0 to 1"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Preprocessing;
    use crate::models::ModelOptions;

    fn metadata() -> Metadata {
        let normalize = Normalize::known("imagenet").expect("known");
        let (resize, filter) = (Resize::Crop, Filter::Bilinear);
        Metadata {
            model: ModelOptions::default(),
            preprocessing: Preprocessing {
                height: 224,
                width: 224,
                channels: 3,
                scale: Some(256),
                resize,
                filter,
                normalize,
            },
            classes: vec!["class 0".into(), "class 1".into()],
            recipe: None,
            step: 0,
            trained_on: None,
        }
    }

    #[test]
    fn what_is_given_replaces_what_the_preset_says_and_nothing_else() {
        assert_eq!(metadata().with(&Given::default()).expect("nothing given"), metadata());
        let given = Given {
            scale: Some(232),
            filter: Some(Filter::Bicubic),
            mean: Some(vec![0.5; 3]),
            classes: Some(vec!["cat".into(), "dog".into()]),
            ..Given::default()
        };
        let found = metadata().with(&given).expect("all of it fits");
        let Normalize::Channel { mean, std } = &found.preprocessing.normalize else { panic!("one value a channel") };
        assert_eq!((mean.as_slice(), std.as_slice()), (&[0.5; 3][..], &[0.229, 0.224, 0.225][..]));
        assert_eq!((found.preprocessing.scale, found.preprocessing.filter), (Some(232), Filter::Bicubic));
        assert_eq!(found.classes, ["cat", "dog"]);
        let squashed = metadata().with(&Given { resize: Some(Resize::Squash), ..Given::default() }).expect("fits");
        assert_eq!((squashed.preprocessing.resize, squashed.preprocessing.scale), (Resize::Squash, None));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |given: Given, why: &str| {
            let error = metadata().with(&given).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        };
        let given = Given::default;
        refused(Given { scale: Some(200), ..given() }, "hold no window of 224x224");
        refused(Given { scale: Some(256), resize: Some(Resize::Letterbox), ..given() }, "not letterbox");
        refused(Given { mean: Some(vec![0.5]), ..given() }, "--mean has 1 values");
        refused(Given { mean: Some(vec![123.7, 116.3, 103.5]), ..given() }, "--mean of 123.7");
        refused(Given { std: Some(vec![0.2, 0.0, 0.2]), ..given() }, "--std of 0");
        refused(Given { classes: Some(vec!["cat".into()]), ..given() }, "1 names for 2 classes");
    }

    #[test]
    fn names_are_read_a_line_each_and_slips_are_told_with_their_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("names.txt");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("a file");
            class_names(&path).map_err(|error| error.to_string())
        };
        assert_eq!(read("\u{feff}cat\r\ngreat dane\r\n\r\n").expect("two"), ["cat", "great dane"]);
        assert!(read("cat\n\ndog\n").is_err_and(|error| error.contains("names.txt:2: an empty line")));
        assert!(read("cat\ndog\ncat\n").is_err_and(|error| error.contains("names.txt:3: \"cat\" stands there twice")));
    }
}
