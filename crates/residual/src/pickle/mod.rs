//! Reading of pickle files as data: CIFAR's Python layout and PyTorch's checkpoints.
//!
//! A pickle is a program for a stack machine that may call any Python function. Here nothing is
//! called: a call is recorded as a name and its arguments, and a name outside the reader's list
//! (those that arrays or tensors need) is an error. Memory is bounded by the file's size. Values
//! are in one arena and refer to each other by index, so that a list may grow after it was
//! memoised. `machine` runs the program.

mod machine;
mod value;

pub use value::{Id, Value};

use crate::error::{Error, Result};

/// Callables of arrays and strings. `numpy._core` is numpy 2's name.
const ALLOWED: [&str; 7] = [
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.numeric._frombuffer",
    "numpy._core.numeric._frombuffer",
    "numpy.ndarray",
    "numpy.dtype",
    "_codecs.encode",
];

/// An array of bytes, numpy's `uint8`.
#[derive(Debug, PartialEq)]
pub struct Array<'a> {
    /// Size of each dimension.
    pub shape: Vec<usize>,
    /// Values in C order.
    pub data: &'a [u8],
}

/// The values of a pickle.
#[derive(Debug)]
pub struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Reads a pickle of arrays; error messages call the file `name`.
    ///
    /// # Errors
    /// Fails if the file is truncated, is not a pickle, or needs a callable other than numpy's for
    /// arrays.
    pub fn read(bytes: &[u8], name: &str) -> Result<Self> {
        let read = Self::parse(bytes, |global| ALLOWED.contains(&global));
        read.map(|(pickle, _)| pickle).map_err(|why| Error::data(format!("{name} is not a supported pickle: {why}")))
    }

    /// Reads the pickle at the beginning of `bytes`, in which only globals that are `allowed` may
    /// occur. Returns it with its length.
    ///
    /// # Errors
    /// Returns what is wrong and at which byte.
    pub fn parse(bytes: &[u8], allowed: fn(&str) -> bool) -> std::result::Result<(Self, usize), String> {
        let (values, root, length) = machine::run(bytes, allowed)?;
        Ok((Self { values, root }, length))
    }

    /// Returns the index of the outermost value.
    pub fn root(&self) -> Id {
        self.root
    }

    /// Returns a value.
    ///
    /// # Panics
    /// Panics if `id` is not of this pickle.
    pub fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// Returns all values in the order of their creation.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Returns the value of a key of the outermost dictionary.
    pub fn get(&self, key: &str) -> Option<Id> {
        let Value::Dict(pairs) = &self.values[self.root] else { return None };
        pairs.iter().rev().find(|(k, _)| self.text(*k).as_deref() == Some(key)).map(|(_, v)| *v)
    }

    /// Returns a value as text if it is a string or bytes in UTF-8.
    pub fn text(&self, id: Id) -> Option<String> {
        match &self.values[id] {
            Value::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// Returns a value as strings if it is a list of them.
    pub fn texts(&self, id: Id) -> Option<Vec<String>> {
        self.list(id)?.iter().map(|&item| self.text(item)).collect()
    }

    /// Returns a value as integers if it is a list of them.
    pub fn integers(&self, id: Id) -> Option<Vec<i64>> {
        let integer = |&item: &Id| match self.values[item] {
            Value::Int(value) => Some(value),
            _ => None,
        };
        self.list(id)?.iter().map(integer).collect()
    }

    /// Returns a value as an array if it is one of bytes in C order.
    pub fn array(&self, id: Id) -> Option<Array<'_>> {
        let Value::Call { name, arguments, state } = &self.values[id] else { return None };
        let (shape, kind, in_c_order, data) = match (name.rsplit('.').next()?, state) {
            // The state is (version, shape, dtype, is in Fortran order, data).
            ("_reconstruct", Some(state)) => {
                let [_, shape, kind, fortran, data] = self.list(*state)?[..] else { return None };
                (shape, kind, self.values[fortran] == Value::Bool(false), data)
            }
            // Protocol 5: (data, dtype, shape, order).
            ("_frombuffer", None) => {
                let [data, kind, shape, order] = self.list(*arguments)?[..] else { return None };
                (shape, kind, self.text(order)? == "C", data)
            }
            _ => return None,
        };
        let shape: Vec<usize> = self.integers(shape)?.into_iter().map(|n| n.try_into().ok()).collect::<Option<_>>()?;
        let Value::Bytes(data) = &self.values[data] else { return None };
        let size = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n))?;
        (in_c_order && self.is_uint8(kind) && size == data.len()).then_some(Array { shape, data })
    }

    /// Returns whether a value is numpy's `uint8`.
    fn is_uint8(&self, id: Id) -> bool {
        let Value::Call { name, arguments, .. } = &self.values[id] else { return false };
        let kind = self.list(*arguments).and_then(|arguments| self.text(*arguments.first()?));
        name == "numpy.dtype" && kind.as_deref() == Some("u1")
    }

    /// Returns the items of a value if it is a list or tuple.
    pub fn list(&self, id: Id) -> Option<&[Id]> {
        match &self.values[id] {
            Value::List(items) => Some(items),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pickle.dumps({b'data': numpy.arange(12, dtype='uint8').reshape(2, 6), b'labels': [3, 300,
    /// -1], 'names': ['x', 'y']}, protocol=p)` for p = 2, 4, 5 by Python 3.12 with numpy 2.
    const PICKLES: [&str; 3] = [
        "80027d710028635f636f646563730a656e636f64650a7101580400000064617461710258060000006c6174696e317103867104527105636e756d70792e5f636f72652e6d756c746961727261790a5f7265636f6e7374727563740a7106636e756d70790a6e6461727261790a71074b0085710868015801000000627109680386710a52710b87710c52710d284b014b024b0686710e636e756d70790a64747970650a710f5802000000753171108988877111527112284b0358010000007c71134e4e4e4affffffff4affffffff4b0074711462896801580c000000000102030405060708090a0b7115680386711652711774711862680158060000006c6162656c737119680386711a52711b5d711c284b034d2c014affffffff6558050000006e616d6573711d5d711e28580100000078711f580100000079712065752e",
        "800495cd000000000000007d9428430464617461948c166e756d70792e5f636f72652e6d756c74696172726179948c0c5f7265636f6e7374727563749493948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b024b06869468058c0564747970659493948c02753194898887945294284b038c017c944e4e4e4affffffff4affffffff4b0074946289430c000102030405060708090a0b9474946243066c6162656c73945d94284b034d2c014affffffff658c056e616d6573945d94288c0178948c01799465752e",
        "800595b8000000000000007d9428430464617461948c136e756d70792e5f636f72652e6e756d65726963948c0b5f66726f6d62756666657294939428960c00000000000000000102030405060708090a0b948c056e756d7079948c0564747970659493948c02753194898887945294284b038c017c944e4e4e4affffffff4affffffff4b007494624b024b0686948c0143947494529443066c6162656c73945d94284b034d2c014affffffff658c056e616d6573945d94288c0178948c01799465752e",
    ];

    /// The beginning of every file of CIFAR-10: Python 2's strings, and a memo.
    const PYTHON_2: &[u8] = b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x03oneq\x03U\x06labelsq\x04]q\x05(K\x06K\x09eu.";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hexadecimal")).collect()
    }

    #[test]
    fn arrays_lists_and_strings_of_every_protocol_are_read() {
        for hex in PICKLES {
            let pickle = Pickle::read(&bytes(hex), "some file").expect("a pickle");
            let array = pickle.array(pickle.get("data").expect("a key")).expect("an array");
            assert_eq!((array.shape, array.data), (vec![2, 6], &(0..12).collect::<Vec<u8>>()[..]));
            assert_eq!(pickle.integers(pickle.get("labels").expect("a key")), Some(vec![3, 300, -1]));
            assert_eq!(pickle.texts(pickle.get("names").expect("a key")), Some(vec!["x".into(), "y".into()]));
        }
        let pickle = Pickle::read(PYTHON_2, "some file").expect("a pickle");
        assert_eq!(pickle.integers(pickle.get("labels").expect("a key")), Some(vec![6, 9]));
        assert_eq!(pickle.get("filenames"), None);
    }

    #[test]
    fn what_would_run_a_program_is_refused_by_name() {
        // `os.system("true")` in an object's __reduce__.
        let hex = "800263706f7369780a73797374656d0a710058040000007472756571018571025271032e";
        let error = Pickle::read(&bytes(hex), "evil").expect_err("a call of os.system");
        let expected = "evil is not a supported pickle: it needs posix.system, which is not allowed (byte 16)";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn the_oldest_protocol_is_read_and_what_it_would_run_is_named() {
        // Python's `pickle.dumps({'a': [1, True, 2.5, 'b']}, 0)`, and Python 2's of `{'a': 3L}`.
        let text = b"(dp0\nVa\np1\n(lp2\nI1\naI01\naF2.5\naVb\np3\nas.";
        let pickle = Pickle::read(text, "old").expect("a pickle");
        let items = pickle.list(pickle.get("a").expect("a key")).expect("a list");
        let values: Vec<&Value> = items.iter().map(|&id| pickle.value(id)).collect();
        assert_eq!(values, [&Value::Int(1), &Value::Bool(true), &Value::Float(2.5), &Value::Text("b".into())]);
        let pickle = Pickle::read(b"(dp0\nS'a'\np1\nL3L\ns.", "older").expect("a pickle");
        assert_eq!(pickle.value(pickle.get("a").expect("a key")), &Value::Int(3));
        // `cos` calls by REDUCE, `ios` by INST.
        for evil in [b"cos\nsystem\n(S'true'\ntR.".as_slice(), b"(S'true'\nios\nsystem\n."] {
            let error = Pickle::read(evil, "evil").expect_err("a call of os.system").to_string();
            assert!(error.contains("it needs os.system, which is not allowed"), "{error}");
        }
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_an_error_or_a_value_never_a_panic() {
        let whole = bytes(PICKLES[0]);
        for end in 0..whole.len() {
            assert!(Pickle::read(&whole[..end], "cut").is_err(), "cut at {end}");
        }
        for at in 0..whole.len() {
            for value in 0..=255 {
                let mut changed = whole.clone();
                changed[at] = value;
                if let Ok(pickle) = Pickle::read(&changed, "changed")
                    && let Some(id) = pickle.get("data")
                {
                    let _ = pickle.array(id);
                }
            }
        }
    }

    #[test]
    fn arrays_of_other_numbers_are_not_taken_for_bytes() {
        let hex = "80027d7100635f636f646563730a656e636f64650a7101580400000064617461710258060000006c6174696e317103867104527105636e756d70792e5f636f72652e6d756c746961727261790a5f7265636f6e7374727563740a7106636e756d70790a6e6461727261790a71074b0085710868015801000000627109680386710a52710b87710c52710d284b014b024b0686710e636e756d70790a64747970650a710f5802000000693271108988877111527112284b0358010000003c71134e4e4e4affffffff4affffffff4b0074711462896801581800000000000100020003000400050006000700080009000a000b007115680386711652711774711862732e";
        let pickle = Pickle::read(&bytes(hex), "int16").expect("a pickle");
        assert_eq!(pickle.array(pickle.get("data").expect("a key")), None);
    }
}
