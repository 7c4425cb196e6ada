//! Files of `torch.save`: zip archives (PyTorch 1.6 and later) and the legacy stream of pickles before them.
//!
//! Both hold a pickle whose tensors are views (offset, sizes, strides) of storages kept beside it. Nothing of the pickle
//! is ever run, and a tensor takes memory only when its values are asked for. Burn's reader (`pytorch-reader`) keeps
//! globals that it does not know as opaque values and goes on; here they are refused by name.

use super::half::{bf16_to_f32, f16_to_f32};
use crate::error::{Error, Result};
use crate::pickle::{Id, Pickle, Value};
use crate::tensor::HostTensor;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

/// How a legacy file begins: protocol 2, and the number 0x1950a86a20f9469cfc6c.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// Keys under which training scripts keep weights, the averaged ones first: they are what the scripts test.
const WRAPPERS: [&str; 10] = [
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "module",
    "weights",
];

/// Wrappers within wrappers are followed this far.
const DEPTH: usize = 4;

/// Constructors of tensors, containers and plain numbers. None of them is called, either.
fn allowed(global: &str) -> bool {
    const NAMES: [&str; 25] = [
        "collections.OrderedDict",
        // Milestones of a schedule, saved beside the weights.
        "collections.Counter",
        "collections.defaultdict",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch._utils._rebuild_parameter",
        "torch.storage.UntypedStorage",
        "torch.storage.TypedStorage",
        "torch.Size",
        "torch.device",
        "argparse.Namespace",
        "builtins.set",
        "builtins.list",
        "builtins.dict",
        "builtins.int",
        "builtins.float",
        "__builtin__.set",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.ndarray",
        "numpy.dtype",
        "_codecs.encode",
    ];
    NAMES.contains(&global) || Kind::of_storage(global).is_some() || Kind::of_dtype(global).is_some()
}

/// Number types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Kind {
    fn of_storage(global: &str) -> Option<Self> {
        let name = global.strip_prefix("torch.cuda.").or_else(|| global.strip_prefix("torch."))?;
        Some(match name {
            "DoubleStorage" => Self::F64,
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    fn of_dtype(global: &str) -> Option<Self> {
        Some(match global.strip_prefix("torch.")? {
            "float64" => Self::F64,
            "float32" => Self::F32,
            "float16" => Self::F16,
            "bfloat16" => Self::Bf16,
            "int64" => Self::I64,
            "int32" => Self::I32,
            "int16" => Self::I16,
            "int8" => Self::I8,
            "uint8" => Self::U8,
            "bool" => Self::Bool,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// One little-endian number.
    fn value(self, b: &[u8]) -> f32 {
        fn whole<const N: usize>(b: &[u8]) -> [u8; N] {
            b.try_into().expect("a number is as long as its type")
        }
        match self {
            Self::F64 => f64::from_le_bytes(whole(b)) as f32,
            Self::F32 => f32::from_le_bytes(whole(b)),
            Self::F16 => f16_to_f32(u16::from_le_bytes(whole(b))),
            Self::Bf16 => bf16_to_f32(u16::from_le_bytes(whole(b))),
            Self::I64 => i64::from_le_bytes(whole(b)) as f32,
            Self::I32 => i32::from_le_bytes(whole(b)) as f32,
            Self::I16 => f32::from(i16::from_le_bytes(whole(b))),
            Self::I8 => f32::from(i8::from_le_bytes(whole(b))),
            Self::U8 | Self::Bool => f32::from(b[0]),
        }
    }
}

/// A tensor that was not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub shape: Vec<usize>,
    strides: Vec<usize>,
    /// First value, in values.
    offset: usize,
    kind: Kind,
    storage: String,
}

/// The weights of a file.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub tensors: BTreeMap<String, View>,
    /// The keys that led to them (`state_dict`), outermost first.
    pub found_in: Vec<String>,
    bytes: Vec<u8>,
    storages: HashMap<String, Range<usize>>,
}

/// Whether a file that begins so is one of PyTorch's. A safetensors file may begin with the same byte: with the length of its
/// header, behind which there is a brace.
pub(super) fn is_pytorch(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
    let is_safetensors = bytes.get(8) == Some(&b'{') && length.is_some_and(|length| length < bytes.len() as u64);
    bytes.starts_with(b"PK\x03\x04") || (bytes.starts_with(b"\x80") && !is_safetensors)
}

/// The refusal of a pickle of whichever protocol that asks for more than tensors; `None` where it does not, or is no pickle.
pub(super) fn hostile(path: &Path, bytes: &[u8]) -> Option<Error> {
    let why = Pickle::parse(bytes, allowed).err().filter(|why| why.contains(ASKS))?;
    Some(refusal(&format!("{}: {why}", path.display())))
}

impl Checkpoint {
    /// Reads the file's structure; values come later.
    pub fn read(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        let name = path.display();
        let read = if bytes.starts_with(b"PK") { zip(&bytes) } else { legacy(&bytes) };
        let (pickle, storages) = read.map_err(|why| refusal(&format!("{name}: {why}")))?;
        let (dict, found_in) = state_dict(&pickle).ok_or_else(|| {
            Error::weights(format!("{name} holds no dictionary of tensors"))
                .with_hint("save one in Python: torch.save(model.state_dict(), \"weights.pt\")")
        })?;
        let mut tensors = BTreeMap::new();
        for &(key, value) in dict {
            let (Some(key), true) = (pickle.text(key), is_tensor(&pickle, value)) else { continue };
            let view = view(&pickle, value).ok_or_else(|| {
                Error::weights(format!("{name}: {key} is a tensor of a kind that is not read"))
                    .with_hint("dense tensors of floats and integers are; complex, quantised and sparse ones are not")
            })?;
            tensors.insert(key, view);
        }
        Ok(Self { tensors, found_in, bytes, storages })
    }

    /// The values of `view` as f32, in C order.
    ///
    /// # Errors
    /// A storage that is missing or shorter than the view; says what, without the file's name.
    pub fn values(&self, view: &View) -> std::result::Result<HostTensor, String> {
        let range = self.storages.get(&view.storage).ok_or(format!("storage {} is missing", view.storage))?;
        let (data, width) = (&self.bytes[range.clone()], view.kind.bytes());
        let held = data.len() / width;
        let wanted = view.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).ok_or("it is too large")?;
        if wanted > held {
            return Err(format!("it has {wanted} values, its storage holds {held}"));
        }
        let extent = view.shape.iter().zip(&view.strides).try_fold(view.offset, |last, (&size, &stride)| {
            last.checked_add(size.saturating_sub(1).checked_mul(stride)?)
        });
        if wanted > 0 && extent.is_none_or(|last| last >= held) {
            return Err(format!("it reaches beyond its storage of {held} values"));
        }
        let mut values = Vec::with_capacity(wanted);
        let mut index = vec![0; view.shape.len()];
        let mut at = view.offset;
        for _ in 0..wanted {
            values.push(view.kind.value(&data[at * width..(at + 1) * width]));
            // An odometer: the last dimension turns fastest.
            for d in (0..index.len()).rev() {
                index[d] += 1;
                at = at.wrapping_add(view.strides[d]);
                if index[d] < view.shape[d] {
                    break;
                }
                at = at.wrapping_sub(view.strides[d].wrapping_mul(view.shape[d]));
                index[d] = 0;
            }
        }
        Ok(HostTensor::new(view.shape.clone(), values))
    }
}

/// How a refusal begins to name what a pickle would run.
const ASKS: &str = "it needs ";
/// And what an archive of `torch.jit.save` is.
const PROGRAM: &str = "it is a program (TorchScript)";

/// What to do about a file that is refused.
fn refusal(message: &str) -> Error {
    let hint = if message.contains(ASKS) {
        "it holds more than tensors; save them alone: torch.save(model.state_dict(), \"weights.pt\")"
    } else if message.contains(PROGRAM) {
        "save its tensors alone: torch.save(torch.jit.load(FILE).state_dict(), \"weights.pt\")"
    } else {
        "it was cut short or altered, or is no file of torch.save; get another copy"
    };
    Error::weights(message).with_hint(hint)
}

type Pairs = [(Id, Id)];
type Read<T> = std::result::Result<T, String>;
type Storages = HashMap<String, Range<usize>>;

/// The zip format: `NAME/data.pkl`, `NAME/data/KEY`, `NAME/byteorder`; entries are not compressed.
fn zip(bytes: &[u8]) -> Read<(Pickle, Storages)> {
    let broken = |error: rawzip::Error| format!("it is a damaged zip archive: {error}");
    let archive = rawzip::ZipArchive::from_slice(bytes).map_err(broken)?;
    let mut entries: HashMap<String, (Range<usize>, u32)> = HashMap::new();
    let mut listed = archive.entries();
    while let Some(entry) = listed.next_entry().map_err(broken)? {
        let path = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
        if path.contains("/code/__torch__") {
            return Err(format!("{PROGRAM}, of which no part is run"));
        }
        if entry.compression_method() != rawzip::CompressionMethod::STORE {
            return Err(format!("{path} is compressed, which torch.save never does"));
        }
        let (start, end) = archive.get_entry(entry.wayfinder()).map_err(broken)?.compressed_data_range();
        entries.insert(path, (start as usize..end as usize, entry.crc32()));
    }
    let root = entries.keys().filter_map(|path| path.strip_suffix("data.pkl")).min_by_key(|root| root.len());
    let root = root.ok_or("it is a zip archive without data.pkl")?.to_owned();
    let content = |name: &str| entries.get(&format!("{root}{name}")).map(|(range, _)| &bytes[range.clone()]);
    if content("byteorder").is_some_and(|order| order != b"little") {
        return Err("its numbers are big-endian".into());
    }
    let (pickle, _) = Pickle::parse(content("data.pkl").expect("its folder was found by it"), allowed)?;
    let mut storages = Storages::new();
    let prefix = format!("{root}data/");
    for (path, (range, crc)) in &entries {
        let Some(key) = path.strip_prefix(&prefix) else { continue };
        // Zero is what torch.save(…) writes where it was told to compute none.
        if *crc != 0 && rawzip::crc32(&bytes[range.clone()]) != *crc {
            return Err(format!("{path} does not match its checksum"));
        }
        storages.insert(key.to_owned(), range.clone());
    }
    Ok((pickle, storages))
}

/// The legacy format: magic number, protocol, machine, object, list of storage keys: five pickles. Then for each key a
/// count of values and the values.
fn legacy(bytes: &[u8]) -> Read<(Pickle, Storages)> {
    if !bytes.starts_with(LEGACY) {
        // A bare pickle, of which at least the name of what it would run can be told.
        Pickle::parse(bytes, allowed)?;
        return Err("it is a pickle, but not one of torch.save".into());
    }
    let mut at = LEGACY.len();
    let mut next = || {
        let (pickle, length) = Pickle::parse(&bytes[at..], allowed)?;
        at += length;
        Ok::<_, String>(pickle)
    };
    let (protocol, machine, object, keys) = (next()?, next()?, next()?, next()?);
    if *protocol.value(protocol.root()) != Value::Int(1001) {
        return Err("it is of another protocol than 1001".into());
    }
    if machine.get("little_endian").is_some_and(|id| *machine.value(id) == Value::Bool(false)) {
        return Err("its numbers are big-endian".into());
    }
    let mut widths: HashMap<String, usize> = HashMap::new();
    for value in object.values() {
        if let Value::Persistent(id) = value
            && let Some(storage) = storage(&object, *id)
        {
            widths.insert(storage.0, storage.1.map_or(1, Kind::bytes));
        }
    }
    let mut storages = Storages::new();
    for key in keys.texts(keys.root()).ok_or("its list of storages is none")? {
        let width = *widths.get(&key).ok_or(format!("storage {key} is nobody's"))?;
        let cut = || format!("it is truncated within storage {key}");
        let count = bytes.get(at..at + 8).ok_or_else(cut)?;
        let count = u64::from_le_bytes(count.try_into().expect("eight bytes"));
        at += 8;
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(width)).ok_or_else(cut)?;
        let end = at.checked_add(length).filter(|&end| end <= bytes.len()).ok_or_else(cut)?;
        storages.insert(key, at..end);
        at = end;
    }
    Ok((object, storages))
}

/// The dictionary that holds the weights, and the keys that lead to it.
fn state_dict(pickle: &Pickle) -> Option<(&Pairs, Vec<String>)> {
    let (pairs, mut path) = find_weights(pickle, pickle.root(), DEPTH)?;
    path.reverse();
    Some((pairs, path))
}

/// The dictionary at `at` or within it, and the keys that lead to it, innermost first. What a wrapper holds comes before what stands
/// beside it: a checkpoint may keep a best accuracy as a tensor, too.
fn find_weights(pickle: &Pickle, at: Id, depth: usize) -> Option<(&Pairs, Vec<String>)> {
    let Value::Dict(pairs) = pickle.value(at) else { return None };
    let inner = |name: &str| {
        let named = |&&(key, _): &&(Id, Id)| pickle.text(key).as_deref() == Some(name);
        pairs.iter().rev().find(named).map(|pair| pair.1)
    };
    let wrapped = (depth > 0).then(|| {
        WRAPPERS.iter().find_map(|name| {
            let (pairs, mut path) = find_weights(pickle, inner(name)?, depth - 1)?;
            path.push((*name).to_owned());
            Some((pairs, path))
        })
    });
    wrapped
        .flatten()
        .or_else(|| pairs.iter().any(|&(_, value)| is_tensor(pickle, value)).then(|| (pairs.as_slice(), Vec::new())))
}

fn is_tensor(pickle: &Pickle, id: Id) -> bool {
    matches!(pickle.value(id), Value::Call { name, .. } if name.starts_with("torch._utils._rebuild_"))
}

/// A storage's key and number type (`None` where the tensor says it), and where a view of it begins.
fn storage(pickle: &Pickle, id: Id) -> Option<(String, Option<Kind>, usize)> {
    let parts = pickle.list(id)?;
    let (&tag, &kind, &key) = (parts.first()?, parts.get(1)?, parts.get(2)?);
    if pickle.text(tag)? != "storage" {
        return None;
    }
    let Value::Global(global) = pickle.value(kind) else { return None };
    let kind = Kind::of_storage(global);
    if kind.is_none() && global != "torch.storage.UntypedStorage" {
        return None;
    }
    // Very old files: (key of the view, offset, size).
    let offset = match parts.get(5).and_then(|&view| pickle.list(view)?.get(1)).map(|&offset| pickle.value(offset)) {
        Some(Value::Int(offset)) => usize::try_from(*offset).ok()?,
        _ => 0,
    };
    Some((pickle.text(key)?, kind, offset))
}

/// The tensor that a call would rebuild.
fn view(pickle: &Pickle, id: Id) -> Option<View> {
    let Value::Call { name, arguments, .. } = pickle.value(id) else { return None };
    let arguments = pickle.list(*arguments)?;
    if name.ends_with("_rebuild_parameter") {
        // A parameter wraps a tensor, and a tensor no parameter.
        let inner = *arguments.first()?;
        let wraps = matches!(pickle.value(inner), Value::Call { name, .. } if name.contains("_rebuild_tensor"));
        return if wraps { view(pickle, inner) } else { None };
    }
    let [source, offset, size, stride, ..] = *arguments else { return None };
    let Value::Persistent(source) = pickle.value(source) else { return None };
    let (storage, kind, start) = storage(pickle, *source)?;
    let kind = match (kind, arguments.get(6).map(|&dtype| pickle.value(dtype))) {
        (Some(kind), _) => kind,
        (None, Some(Value::Global(dtype))) => Kind::of_dtype(dtype)?,
        _ => return None,
    };
    let sizes =
        |id: Id| -> Option<Vec<usize>> { pickle.integers(id)?.into_iter().map(|n| usize::try_from(n).ok()).collect() };
    let &Value::Int(offset) = pickle.value(offset) else { return None };
    let (shape, strides) = (sizes(size)?, sizes(stride)?);
    if shape.len() != strides.len() || shape.len() > 8 {
        return None;
    }
    let offset = usize::try_from(offset).ok()?.checked_add(start)?;
    Some(View { shape, strides, offset, kind, storage })
}
