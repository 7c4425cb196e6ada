//! The stack machine of pickles: opcodes of protocols 0 to 5 (see Python's `pickletools.py`),
//! except the rare ones that create objects. It creates values and calls nothing.

use super::value::{Id, Value};
use std::collections::HashMap;

/// Runs the program at the beginning of `bytes`, in which only globals that are `allowed` may
/// occur. Returns its values, the index of the outermost one, and the length of the program.
pub(super) fn run(bytes: &[u8], allowed: fn(&str) -> bool) -> Step<(Vec<Value>, Id, usize)> {
    let (values, stack, marks) = (Vec::new(), Vec::new(), Vec::new());
    let mut machine = Machine { bytes, at: 0, allowed, values, stack, marks, memo: HashMap::new(), encoded: 0 };
    match machine.run() {
        Ok(root) => Ok((machine.values, root, machine.at)),
        Err(why) => Err(format!("{why} (byte {})", machine.at)),
    }
}

/// Largest number of values: a value takes fifty times the memory of an opcode, and ResNet-1202's
/// checkpoint with its optimiser has a hundred thousand.
const MAX_VALUES: usize = 4_000_000;

/// The stack machine.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    allowed: fn(&str) -> bool,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
    /// Bytes encoded from text so far, limited because a memoised text can be encoded repeatedly.
    encoded: usize,
}

type Step<T> = Result<T, String>;

impl<'a> Machine<'a> {
    fn run(&mut self) -> Step<Id> {
        loop {
            let opcode = self.take(1)?[0];
            if self.values.len() > MAX_VALUES {
                return Err(format!("it has more than {MAX_VALUES} values, far more than a checkpoint"));
            }
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Step<()> {
        match opcode {
            // PROTO and FRAME: their arguments are skipped.
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
            _ => return Err(format!("opcode 0x{opcode:02x} is not supported")),
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
                    return Err(format!("an integer has {n} bytes, more than 8"));
                }
                let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
                let fill = if negative { -1 } else { 0 };
                Value::Int(bytes.iter().rev().fold(fill, |value: i64, &b| value << 8 | i64::from(b)))
            }
        };
        self.push(value);
        Ok(())
    }

    /// Reads a value of protocol 0, which is a line of text.
    fn line_value(&mut self, opcode: u8) -> Step<()> {
        let line = self.line()?;
        let unread = || format!("\"{}\" is not a supported value", line.escape_debug());
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
            _ => return Err("an item is added to a value that is neither list nor dictionary".into()),
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
                let id = *self.memo.get(&key).ok_or_else(|| format!("value {key} was never memoised"))?;
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
                _ => return Err("the name of a global is not text".into()),
            }
        };
        if !(self.allowed)(&name) {
            return Err(format!("it needs {name}, which is not allowed"));
        }
        self.push(Value::Global(name));
        match opcode {
            b'i' => Err("it creates an object, which is not supported".into()),
            _ => Ok(()),
        }
    }

    fn call(&mut self) -> Step<()> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Value::Global(name) = self.values[callable].clone() else {
            return Err("a call has no name".into());
        };
        // Python 3 writes bytes to protocol 2 as Latin-1 text to be encoded.
        let value = match (name.as_str(), &self.values[arguments]) {
            ("_codecs.encode", Value::List(items)) => match items.first().map(|&id| &self.values[id]) {
                Some(Value::Text(text)) => {
                    let byte = |c: char| u8::try_from(u32::from(c)).map_err(|_| "text that is not Latin-1".to_string());
                    self.encoded += text.len();
                    if self.encoded > self.bytes.len() {
                        return Err("it encodes more text than it has".into());
                    }
                    Value::Bytes(text.chars().map(byte).collect::<Step<_>>()?)
                }
                _ => return Err("an encoded value is not text".into()),
            },
            // Python 3 sets the items of an OrderedDict one by one; Python 2 passes a list of
            // pairs.
            ("collections.OrderedDict", Value::List(given)) => Value::Dict(self.pairs(given)),
            ("collections.OrderedDict" | "collections.defaultdict" | "collections.Counter", _) => {
                Value::Dict(Vec::new())
            }
            _ => Value::Call { name, arguments, state: None },
        };
        self.push(value);
        Ok(())
    }

    /// Returns the pairs in `([[k, v], …],)`, none for any other arguments.
    fn pairs(&self, given: &[Id]) -> Vec<(Id, Id)> {
        let [list] = given else { return Vec::new() };
        let Value::List(items) = &self.values[*list] else { return Vec::new() };
        let pair = |&item: &Id| match &self.values[item] {
            Value::List(pair) => pair.as_slice().try_into().ok().map(|[key, value]: [Id; 2]| (key, value)),
            _ => None,
        };
        items.iter().filter_map(pair).collect()
    }

    fn build(&mut self) -> Step<()> {
        let given = self.pop()?;
        let target = *self.stack.last().ok_or("a state for nothing")?;
        match &mut self.values[target] {
            Value::Call { state, .. } => *state = Some(given),
            // Attributes of an OrderedDict: PyTorch's version numbers of modules.
            Value::Dict(_) => {}
            _ => return Err("a state is set on a value that is not a call".into()),
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

    /// Reads a little-endian number of up to eight bytes.
    fn unsigned(&mut self, width: usize) -> Step<usize> {
        Ok(self.take(width)?.iter().rev().fold(0, |value, &b| value << 8 | usize::from(b)))
    }

    /// Reads a memo key of protocol 0.
    fn line_number(&mut self) -> Step<usize> {
        self.line()?.parse().map_err(|_| "a memo key is not a number".into())
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
        _ => Err("a key has no value".into()),
    }
}
