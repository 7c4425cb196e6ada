//! Pickle files read as data: what CIFAR's python layout and PyTorch's checkpoints are made of, and nothing more.
//!
//! A pickle is a program for a stack machine that may call any function of Python's. Here nothing is ever called: a
//! call is kept as the pair of a name and its arguments, only the names that the reader allows (those that arrays or
//! tensors are made of) may be mentioned, and any other is refused by name. Memory is bounded by the file's size. Values live in
//! one arena and refer to each other by index, so that a list that grows after it was memoised is seen to grow. Opcodes
//! are those of protocols 0 to 5 (Python's `pickletools.py` describes them), but for the rare ones that make objects.

use crate::error::{Error, Result};
use std::collections::HashMap;

/// A value's place in the arena.
pub(crate) type Id = usize;

/// Callables that stand for arrays and strings. `numpy._core` is numpy 2's name.
const ALLOWED: [&str; 7] = [
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.numeric._frombuffer",
    "numpy._core.numeric._frombuffer",
    "numpy.ndarray",
    "numpy.dtype",
    "_codecs.encode",
];

/// What a pickle may hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Python 2's `str` and Python 3's `bytes`.
    Bytes(Vec<u8>),
    Text(String),
    /// Lists and tuples.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(String),
    /// A call that is not made, and the state that would be given to what it returns.
    Call {
        name: String,
        arguments: Id,
        state: Option<Id>,
    },
    /// Something outside the pickle: PyTorch's storages.
    Persistent(Id),
}

/// An array of bytes: numpy's `uint8`.
#[derive(Debug, PartialEq)]
pub(crate) struct Array<'a> {
    pub shape: Vec<usize>,
    pub data: &'a [u8],
}

/// A pickle that was read.
#[derive(Debug)]
pub(crate) struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Reads a pickle; `name` is what to call the file in messages.
    pub fn read(bytes: &[u8], name: &str) -> Result<Self> {
        let read = Self::parse(bytes, |global| ALLOWED.contains(&global));
        read.map(|(pickle, _)| pickle).map_err(|why| Error::data(format!("{name} is not a pickle that we read: {why}")))
    }

    /// Reads the pickle at the beginning of `bytes`, which may mention the globals that `allowed` knows; returns its
    /// length too.
    pub fn parse(bytes: &[u8], allowed: fn(&str) -> bool) -> std::result::Result<(Self, usize), String> {
        let (values, stack, marks) = (Vec::new(), Vec::new(), Vec::new());
        let mut machine = Machine { bytes, at: 0, allowed, values, stack, marks, memo: HashMap::new(), encoded: 0 };
        match machine.run() {
            Ok(root) => Ok((Self { values: machine.values, root }, machine.at)),
            Err(why) => Err(format!("{why} (byte {})", machine.at)),
        }
    }

    /// The outermost value's place.
    pub fn root(&self) -> Id {
        self.root
    }

    /// The value at a place.
    pub fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// Every value there is, in the order in which they came into being.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value of a key of the outermost dictionary.
    pub fn get(&self, key: &str) -> Option<Id> {
        let Value::Dict(pairs) = &self.values[self.root] else { return None };
        pairs.iter().rev().find(|(k, _)| self.text(*k).as_deref() == Some(key)).map(|(_, v)| *v)
    }

    /// A string, of either kind.
    pub fn text(&self, id: Id) -> Option<String> {
        match &self.values[id] {
            Value::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// A list of strings.
    pub fn texts(&self, id: Id) -> Option<Vec<String>> {
        self.list(id)?.iter().map(|&item| self.text(item)).collect()
    }

    /// A list of integers.
    pub fn integers(&self, id: Id) -> Option<Vec<i64>> {
        let integer = |&item: &Id| match self.values[item] {
            Value::Int(value) => Some(value),
            _ => None,
        };
        self.list(id)?.iter().map(integer).collect()
    }

    /// An array of bytes in C order.
    pub fn array(&self, id: Id) -> Option<Array<'_>> {
        let Value::Call { name, arguments, state } = &self.values[id] else { return None };
        let (shape, kind, in_c_order, data) = match (name.rsplit('.').next()?, state) {
            // The state is (version, shape, dtype, in Fortran's order, data).
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

    fn is_uint8(&self, id: Id) -> bool {
        let Value::Call { name, arguments, .. } = &self.values[id] else { return false };
        let kind = self.list(*arguments).and_then(|arguments| self.text(*arguments.first()?));
        name == "numpy.dtype" && kind.as_deref() == Some("u1")
    }

    /// The items of a list or tuple.
    pub fn list(&self, id: Id) -> Option<&[Id]> {
        match &self.values[id] {
            Value::List(items) => Some(items),
            _ => None,
        }
    }
}

/// The stack machine.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    allowed: fn(&str) -> bool,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
    /// Bytes made of text so far: a text that is remembered and encoded again and again must not fill the memory.
    encoded: usize,
}

type Step<T> = std::result::Result<T, String>;

impl<'a> Machine<'a> {
    fn run(&mut self) -> Step<Id> {
        loop {
            let opcode = self.take(1)?[0];
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            // PROTO, FRAME: nothing to do but to skip their arguments.
            0x80 => self.skip(1)?,
            0x95 => self.skip(8)?,
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => self.stack.push(*self.stack.last().ok_or("nothing to double")?),
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' | b'M' | b'J' | 0x8a | 0x8b | b'G' => self.number(opcode)?,
            b'T' | b'U' | b'B' | b'C' | 0x8e | 0x96 | b'X' | 0x8c | 0x8d => self.string(opcode)?,
            b']' | b')' | 0x8f => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b't' | b'l' | b'd' | 0x85..=0x87 | 0x91 => self.group(opcode)?,
            b'a' | b'e' | b's' | b'u' | 0x90 => self.grow(opcode)?,
            b'I' | b'L' | b'F' | b'S' | b'V' => self.line_value(opcode)?,
            b'q' | b'r' | 0x94 | b'p' | b'h' | b'j' | b'g' => self.remember(opcode)?,
            b'c' | 0x93 | b'i' => self.global(opcode)?,
            b'R' | 0x81 => self.call()?,
            b'b' => self.build()?,
            _ => return Err(format!("opcode 0x{opcode:02x} is not one that data needs")),
        }
        Ok(())
    }

    fn number(&mut self, opcode: u8) -> Step<()> {
        let value = match opcode {
            b'K' => Value::Int(self.unsigned(1)? as i64),
            b'M' => Value::Int(self.unsigned(2)? as i64),
            b'J' => Value::Int(i64::from(self.unsigned(4)? as u32 as i32)),
            b'G' => Value::Float(f64::from_bits((self.unsigned(8)? as u64).swap_bytes())),
            // LONG1, LONG4: little-endian two's complement of any length; ours fit in 64 bits.
            _ => {
                let n = self.unsigned(if opcode == 0x8a { 1 } else { 4 })?;
                let bytes = self.take(n)?;
                if n > 8 {
                    return Err(format!("an integer of {n} bytes"));
                }
                let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
                let fill = if negative { -1 } else { 0 };
                Value::Int(bytes.iter().rev().fold(fill, |value: i64, &b| value << 8 | i64::from(b)))
            }
        };
        self.push(value);
        Ok(())
    }

    /// A value of protocol 0, written as a line of text.
    fn line_value(&mut self, opcode: u8) -> Step<()> {
        let line = self.line()?;
        let unread = || format!("\"{}\" is no value that data needs", line.escape_debug());
        let value = match opcode {
            b'I' if line == "00" => Value::Bool(false),
            b'I' if line == "01" => Value::Bool(true),
            b'I' | b'L' => Value::Int(line.trim_end_matches('L').parse().map_err(|_| unread())?),
            b'F' => Value::Float(line.parse().map_err(|_| unread())?),
            // Names of tensors and storages have nothing to escape.
            _ if line.contains('\\') => return Err(unread()),
            b'V' => Value::Text(line),
            _ => {
                let quote = line.chars().next().filter(|quote| matches!(quote, '"' | '\'')).ok_or_else(unread)?;
                let text = line[1..].strip_suffix(quote).ok_or_else(unread)?;
                Value::Bytes(text.as_bytes().to_vec())
            }
        };
        self.push(value);
        Ok(())
    }

    fn string(&mut self, opcode: u8) -> Step<()> {
        let width = match opcode {
            b'U' | b'C' | 0x8c => 1,
            0x8d | 0x8e | 0x96 => 8,
            _ => 4,
        };
        let n = self.unsigned(width)?;
        let bytes = self.take(n)?.to_vec();
        let value = match opcode {
            b'X' | 0x8c | 0x8d => {
                Value::Text(String::from_utf8(bytes).map_err(|_| "text that is not UTF-8".to_string())?)
            }
            _ => Value::Bytes(bytes),
        };
        self.push(value);
        Ok(())
    }

    fn group(&mut self, opcode: u8) -> Step<()> {
        let items = match opcode {
            0x85..=0x87 => {
                let n = usize::from(opcode - 0x84);
                let start = self.stack.len().checked_sub(n).ok_or("a tuple of more than the stack holds")?;
                self.stack.split_off(start)
            }
            _ => self.since_mark()?,
        };
        let value = match opcode {
            b'd' => Value::Dict(pairs(&items)?),
            _ => Value::List(items),
        };
        self.push(value);
        Ok(())
    }

    fn grow(&mut self, opcode: u8) -> Step<()> {
        let items = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.since_mark()?,
        };
        let target = *self.stack.last().ok_or("an item without a list")?;
        match (&mut self.values[target], opcode) {
            (Value::List(list), b'a' | b'e' | 0x90) => list.extend(items),
            (Value::Dict(dict), b's' | b'u') => dict.extend(pairs(&items)?),
            _ => return Err("an item for something that is neither list nor dictionary".into()),
        }
        Ok(())
    }

    fn remember(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            b'q' | b'r' | 0x94 | b'p' => {
                let key = match opcode {
                    b'q' => self.unsigned(1)?,
                    b'r' => self.unsigned(4)?,
                    b'p' => self.line_number()?,
                    _ => self.memo.len(),
                };
                let top = *self.stack.last().ok_or("nothing to remember")?;
                self.memo.insert(key, top);
            }
            _ => {
                let key = match opcode {
                    b'h' => self.unsigned(1)?,
                    b'j' => self.unsigned(4)?,
                    _ => self.line_number()?,
                };
                let id = *self.memo.get(&key).ok_or_else(|| format!("value {key} was never remembered"))?;
                self.stack.push(id);
            }
        }
        Ok(())
    }

    fn global(&mut self, opcode: u8) -> Step<()> {
        let name = if opcode != 0x93 {
            let (module, name) = (self.line()?, self.line()?);
            format!("{module}.{name}")
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (&self.values[module], &self.values[name]) {
                (Value::Text(module), Value::Text(name)) => format!("{module}.{name}"),
                _ => return Err("a global whose name is not text".into()),
            }
        };
        if !(self.allowed)(&name) {
            return Err(format!("it asks for {name}, which data does not need"));
        }
        self.push(Value::Global(name));
        match opcode {
            b'i' => Err("it makes an object, which data does not need".into()),
            _ => Ok(()),
        }
    }

    fn call(&mut self) -> Step<()> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Value::Global(name) = self.values[callable].clone() else {
            return Err("a call of something unnamed".into());
        };
        // Python 3 writes bytes to protocol 2 as Latin-1 text to be encoded.
        let value = match (name.as_str(), &self.values[arguments]) {
            ("_codecs.encode", Value::List(items)) => match items.first().map(|&id| &self.values[id]) {
                Some(Value::Text(text)) => {
                    let byte = |c: char| u8::try_from(u32::from(c)).map_err(|_| "text that is not Latin-1".to_string());
                    self.encoded += text.len();
                    if self.encoded > self.bytes.len() {
                        return Err("it encodes more text than it holds".into());
                    }
                    Value::Bytes(text.chars().map(byte).collect::<Step<_>>()?)
                }
                _ => return Err("an encoding of something that is not text".into()),
            },
            ("collections.OrderedDict" | "collections.defaultdict" | "collections.Counter", _) => {
                Value::Dict(Vec::new())
            }
            _ => Value::Call { name, arguments, state: None },
        };
        self.push(value);
        Ok(())
    }

    fn build(&mut self) -> Step<()> {
        let given = self.pop()?;
        let target = *self.stack.last().ok_or("a state for nothing")?;
        match &mut self.values[target] {
            Value::Call { state, .. } => *state = Some(given),
            // Attributes of an OrderedDict: PyTorch's version numbers of modules.
            Value::Dict(_) => {}
            _ => return Err("a state for something that was not called".into()),
        }
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
    }

    fn pop(&mut self) -> Step<Id> {
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    fn since_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len()).ok_or("a group without a beginning")?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, n: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len()).ok_or("it is truncated")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn skip(&mut self, n: usize) -> Step<()> {
        self.take(n).map(drop)
    }

    /// A little-endian number of up to eight bytes.
    fn unsigned(&mut self, width: usize) -> Step<usize> {
        Ok(self.take(width)?.iter().rev().fold(0, |value, &b| value << 8 | usize::from(b)))
    }

    /// A memo's key in protocol 0.
    fn line_number(&mut self) -> Step<usize> {
        self.line()?.parse().map_err(|_| "a memo's key that is no number".into())
    }

    fn line(&mut self) -> Step<String> {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().position(|&b| b == b'\n').ok_or("it is truncated")?;
        let line = String::from_utf8_lossy(&rest[..n]).into_owned();
        self.at += n + 1;
        Ok(line)
    }
}

fn pairs(items: &[Id]) -> Step<Vec<(Id, Id)>> {
    match items.len() % 2 {
        0 => Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()),
        _ => Err("a key without a value".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pickle.dumps({b'data': numpy.arange(12, dtype='uint8').reshape(2, 6), b'labels': [3, 300, -1], 'names':
    /// ['x', 'y']}, protocol=p)` for p = 2, 4, 5 by Python 3.12 with numpy 2.
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
        let expected =
            "evil is not a pickle that we read: it asks for posix.system, which data does not need (byte 16)";
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
            assert!(error.contains("it asks for os.system, which data does not need"), "{error}");
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
