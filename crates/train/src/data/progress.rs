//! How long work on images tells how far it is; whoever calls decides how that looks.

/// A listener for work that takes a while: reading, checking, downloading.
pub trait Progress {
    /// `what` (a phrase such as "checking images") begins and has `total` units; 0 where that is not known.
    fn start(&mut self, what: &str, total: u64);
    /// `n` more units are done.
    fn advance(&mut self, n: u64);
    /// Something worth knowing happened: one sentence.
    fn note(&mut self, text: &str);
}

/// Nobody listens.
impl Progress for () {
    fn start(&mut self, _what: &str, _total: u64) {}
    fn advance(&mut self, _n: u64) {}
    fn note(&mut self, _text: &str) {}
}
