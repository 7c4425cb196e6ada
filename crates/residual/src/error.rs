//! The one error of the library: a sentence that says what failed and where, and a hint that says what to do.

use std::fmt;

/// What a caller may want to tell apart; the binary derives its exit code from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong: an unknown name, an impossible value.
    Usage,
    /// A recipe does not parse or contradicts itself.
    Recipe,
    /// Images, labels or a data folder.
    Data,
    /// A weights file or checkpoint.
    Weights,
    /// Training cannot go on (a loss that is not finite, for one).
    Training,
    /// A file cannot be read or written.
    Io,
    /// Somebody pressed Ctrl-C; a checkpoint was written.
    Interrupted,
}

/// A failure: one sentence, and what to do about it where we know.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

/// A result of this library.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` whose `message` is one sentence without a period.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// A request that cannot be met as it stands.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Something wrong with images, labels or their folder.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Kind::Data, message)
    }

    /// Something wrong with a weights file.
    pub fn weights(message: impl Into<String>) -> Self {
        Self::new(Kind::Weights, message)
    }

    /// `error` happened while doing `what` (a verb and its object: "read") to `path`.
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

    /// The same error with a remedy.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error; where it was an interruption, with this remedy.
    pub fn with_hint_when_interrupted(self, hint: impl Into<String>) -> Self {
        if self.kind == Kind::Interrupted { self.with_hint(hint) } else { self }
    }

    /// The same error, said of `what`.
    pub fn about(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to do about it, where that is known.
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

/// The name in `known` closest to `typed`, if one is close enough to be a slip of the keyboard.
///
/// Jaro-Winkler, which forgives what is missing behind a common beginning (`learnrate` for `lr`), says which are close; the
/// number of slips says which of those is closest.
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
    fn the_name_with_the_fewest_slips_is_nearest() {
        assert_eq!(nearest("resnet-21", ["resnet-20", "resnet-110", "resnet-152"]), Some("resnet-20"));
        assert_eq!(nearest("momentun", ["lr", "momentum", "nesterov"]), Some("momentum"));
        assert_eq!(nearest("image", ["lr", "epochs"]), None);
    }
}
