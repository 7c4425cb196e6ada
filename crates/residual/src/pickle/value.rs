//! Values of a pickle.

/// Index of a value in its pickle.
pub type Id = usize;

/// A value of a pickle. Contained values are indices into the same pickle.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// Python 2's `str` or Python 3's `bytes`.
    Bytes(Vec<u8>),
    /// Python 3's `str`.
    Text(String),
    /// A list or a tuple.
    List(Vec<Id>),
    /// A dictionary.
    Dict(Vec<(Id, Id)>),
    /// The name of a global.
    Global(String),
    /// A call, which is recorded and not made.
    Call {
        /// Name of the callable.
        name: String,
        /// Tuple of arguments.
        arguments: Id,
        /// State that would be set on the result.
        state: Option<Id>,
    },
    /// A reference to something outside the pickle, such as PyTorch's storages.
    Persistent(Id),
}
