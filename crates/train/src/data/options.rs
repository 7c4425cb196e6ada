//! Options for opening a data set.

use residual::image::{Filter, Resize};

/// Which data set to open, how to split it, and how to resize its images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataOptions {
    /// Name (`shapes cifar10 cifar100 mnist fashion-mnist`), folder or archive.
    pub source: String,
    /// Number of training images to use, from the fixed shuffle; 0 uses all.
    pub train_size: usize,
    /// Number of those to hold out for validation; `None` holds out a tenth.
    pub validation: Option<usize>,
    /// Height and width of the network's input; `None` keeps the data set's own (224 for a folder
    /// of images).
    pub input: Option<usize>,
    /// Channels of the network's input, 1 or 3; `None` keeps the data set's own (3 for a folder of
    /// images).
    pub channels: Option<usize>,
    /// With [`Resize::Crop`]: the shorter side before the centre is cropped; `None` means `input`.
    pub scale: Option<usize>,
    /// How an image's proportions are brought to the input's.
    pub resize: Resize,
    /// Resampling filter.
    pub filter: Filter,
    /// Whether to leave images at their own size, for callers that read them by
    /// [`Images::original`](super::Images::original) and resize or augment them.
    pub originals: bool,
    /// Whether to leave out images that do not decode, rather than fail.
    pub skip_bad: bool,
    /// Whether to fail rather than download a data set that is not in the cache.
    pub offline: bool,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            source: "shapes".into(),
            train_size: 0,
            validation: None,
            input: None,
            channels: None,
            scale: None,
            resize: Resize::default(),
            filter: Filter::default(),
            originals: false,
            skip_bad: false,
            offline: false,
        }
    }
}

impl DataOptions {
    /// Returns the defaults for one source.
    pub fn new(source: impl Into<String>) -> Self {
        Self { source: source.into(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_resize_mode_gets_the_nearest_name_as_hint() {
        let error = "letterbx".parse::<Resize>().expect_err("no such mode");
        assert_eq!(error.hint(), Some("did you mean \"letterbox\"?"));
        assert_eq!(serde_json::to_string(&Filter::Bicubic).expect("serialises"), "\"bicubic\"");
    }
}
