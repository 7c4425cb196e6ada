//! Progress of long work on images; the caller decides how to show it.

/// A listener for the progress of reading, checking or downloading. `()` ignores it.
pub trait Progress {
    /// Begins `what`, a phrase such as "checking images", of `total` units; 0 if that is unknown.
    fn start(&mut self, what: &str, total: u64);
    /// Counts `n` more units as done.
    fn advance(&mut self, n: u64);
    /// Reports something worth knowing in one sentence.
    fn note(&mut self, text: &str);
}

/// No-op progress.
impl Progress for () {
    fn start(&mut self, _what: &str, _total: u64) {}
    fn advance(&mut self, _n: u64) {}
    fn note(&mut self, _text: &str) {}
}
