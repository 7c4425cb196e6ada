//! The error type of all crates: a sentence that says what failed, and a hint that says how to go
//! on.

use std::fmt;

/// Kind of a failure, from which the command line derives its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong: an unknown name or a value out of range.
    Usage,
    /// A recipe does not parse or contradicts itself.
    Recipe,
    /// Images, labels or a data folder are wrong.
    Data,
    /// A weights file or checkpoint is wrong.
    Weights,
    /// Training cannot continue, for example because the loss is not finite.
    Training,
    /// A file cannot be read or written.
    Io,
    /// The user pressed Ctrl-C; a checkpoint was written.
    Interrupted,
}

/// A failure: one sentence, and a hint if there is one.
///
/// ```
/// use residual::{Error, Kind};
/// let error = Error::usage("--top must be at least 1, got 0").with_hint("try --top 5");
/// assert_eq!(error.to_string(), "--top must be at least 1, got 0");
/// assert_eq!((error.kind(), error.hint()), (Kind::Usage, Some("try --top 5")));
/// ```
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Creates an error of `kind`; `message` is one sentence without a period.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// Creates an error about the request itself.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Creates an error about images, labels or their folder.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Kind::Data, message)
    }

    /// Creates an error about a weights file.
    pub fn weights(message: impl Into<String>) -> Self {
        Self::new(Kind::Weights, message)
    }

    /// Creates an error about a file: `what` is the verb ("read") that failed for `path`.
    pub fn io(what: &str, path: &std::path::Path, error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let failure = Self::new(Kind::Io, format!("cannot {what} {}: {error}", path.display()));
        match error.kind() {
            ErrorKind::NotFound if path.is_relative() => {
                failure.with_hint("relative paths start at the folder that the command runs in")
            }
            ErrorKind::NotFound => failure.with_hint("check how the path is spelt"),
            ErrorKind::IsADirectory => failure.with_hint("name a file in it, such as the best.safetensors of a run"),
            ErrorKind::PermissionDenied => failure.with_hint("check who may read and write there"),
            ErrorKind::ReadOnlyFilesystem => failure.with_hint("name a place that can be written to"),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                failure.with_hint("free some space, or name another place")
            }
            _ => failure,
        }
    }

    /// Returns the error with a hint.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the error, with a hint if it is an interruption.
    pub fn with_hint_when_interrupted(self, hint: impl Into<String>) -> Self {
        if self.kind == Kind::Interrupted { self.with_hint(hint) } else { self }
    }

    /// Returns the error with `what` and a colon in front of its message.
    pub fn about(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the hint, if there is one.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Returns the name in `known` closest to `typed`, if one is close enough to be a typing error.
///
/// Names are close by their Jaro-Winkler similarity, which forgives a missing end after a common
/// beginning (`learnrate` for `lr`); the closest of them has the smallest Damerau-Levenshtein
/// distance.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let slips = |name: &str| strsim::normalized_damerau_levenshtein(&typed, name);
    known
        .into_iter()
        .filter(|name| strsim::jaro_winkler(&typed, name) > 0.75)
        .max_by(|a, b| slips(a).total_cmp(&slips(b)))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_name_with_the_fewest_typing_errors_is_nearest() {
        assert_eq!(nearest("resnet-21", ["resnet-20", "resnet-110", "resnet-152"]), Some("resnet-20"));
        assert_eq!(nearest("momentun", ["lr", "momentum", "nesterov"]), Some("momentum"));
        assert_eq!(nearest("image", ["lr", "epochs"]), None);
    }
}
