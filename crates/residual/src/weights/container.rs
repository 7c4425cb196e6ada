//! The file under weights and checkpoints: safetensors, one metadata entry, a fingerprint over all of it.
//!
//! safetensors keeps its metadata in a hash map, whose order is not fixed; with a single entry, equal contents give
//! equal bytes.

use super::half::{bf16_to_f32, f16_to_f32};
use crate::error::{Error, Result};
use crate::tensor::{HostTensor, Tensors};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;

/// The metadata entry that is ours.
const ENTRY: &str = "residual";

/// The one beside tensors under another program's names.
pub(super) const EXPORTED: &str = "exported";

/// Writes `tensors` and `metadata` to `path`, whole or not at all.
///
/// # Errors
/// A folder that cannot be written.
pub fn write(path: &Path, tensors: &Tensors, metadata: Map<String, Value>) -> Result<()> {
    write_entry(path, tensors, ENTRY, metadata)
}

/// As [`write`], with the metadata under another name than ours.
pub(super) fn write_entry(path: &Path, tensors: &Tensors, entry: &str, mut metadata: Map<String, Value>) -> Result<()> {
    metadata.insert("sha256".into(), Value::String(fingerprint(tensors, &metadata)));
    let mut entries = HashMap::from([(entry.to_owned(), Value::Object(metadata).to_string())]);
    if entry == EXPORTED {
        // Loaders of Hugging Face refuse a file with metadata that does not say so.
        entries.insert("format".to_owned(), "pt".to_owned());
    }
    let views = tensors
        .iter()
        .map(|(name, data)| {
            let view = TensorView::new(Dtype::F32, data.shape().to_vec(), bytemuck::cast_slice(data.values()));
            view.map(|view| (name, view)).map_err(|error| Error::weights(format!("cannot store {name}: {error}")))
        })
        .collect::<Result<Vec<_>>>()?;
    let bytes = safetensors::serialize(views, Some(entries))
        .map_err(|error| Error::weights(format!("cannot write {}: {error}", path.display())))?;
    crate::atomic::write(path, &in_order(bytes))
}

/// A file whose header has its keys in their order: the same length, and the same bytes every time.
fn in_order(mut bytes: Vec<u8>) -> Vec<u8> {
    const LENGTH: usize = size_of::<u64>();
    let header = bytes.get(..LENGTH).and_then(|length| length.try_into().ok()).map_or(0, u64::from_le_bytes) as usize;
    let parsed = bytes.get(LENGTH..LENGTH + header).and_then(|text| serde_json::from_slice::<Value>(text).ok());
    if let Some(sorted) = parsed.map(|parsed| parsed.to_string()).filter(|sorted| sorted.len() <= header) {
        let (text, padding) = bytes[LENGTH..LENGTH + header].split_at_mut(sorted.len());
        text.copy_from_slice(sorted.as_bytes());
        padding.fill(b' ');
    }
    bytes
}

/// A file as read: its tensors, and its metadata if it is one of ours.
#[derive(Debug)]
pub struct Contents {
    /// All tensors, as f32.
    pub tensors: Tensors,
    /// Our metadata; `None` in a file that something else wrote.
    pub metadata: Option<Map<String, Value>>,
    /// That of a file which we wrote for another program, under its names.
    pub exported: Option<Map<String, Value>>,
}

/// Reads a safetensors file, and checks its fingerprint if it has one.
///
/// # Errors
/// A file that is missing, truncated, altered, no safetensors file, or holds something that is not a float.
pub fn read(path: &Path) -> Result<Contents> {
    let bytes = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
    parse(bytes, &path.display().to_string())
}

/// As [`read`], of a file's `bytes`; errors call it `name`.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: Vec<u8>, name: &str) -> Result<Contents> {
    let file_name = name;
    let damaged = |what: String| {
        Error::weights(format!("{file_name} is damaged: {what}"))
            .with_hint("the file was cut short or altered; use another copy or an earlier checkpoint")
    };
    if let Some(error) = super::foreign::foreign(file_name, &bytes) {
        return Err(error);
    }
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    let mut tensors = Tensors::new();
    for (name, view) in file.tensors() {
        tensors.insert(
            name.clone(),
            floats(&view).ok_or_else(|| {
                Error::weights(format!("{file_name}: {name} is {:?}, not a float tensor", view.dtype()))
            })?,
        );
    }
    let entry = |name: &str| {
        let Some(entry) = header.metadata().as_ref().and_then(|entries| entries.get(name)) else { return Ok(None) };
        let mut metadata: Map<String, Value> =
            serde_json::from_str(entry).map_err(|error| damaged(format!("its metadata does not parse: {error}")))?;
        let stated = metadata.remove("sha256");
        if stated != Some(Value::String(fingerprint(&tensors, &metadata))) {
            return Err(damaged("its contents do not match its fingerprint".into()));
        }
        Ok(Some(metadata))
    };
    // Another program may have changed the tensors and kept what stood beside them: then it is that program's file.
    let (metadata, exported) = (entry(ENTRY)?, entry(EXPORTED).ok().flatten());
    Ok(Contents { tensors, metadata, exported })
}

/// The values of a view as f32, or `None` for types that no checkpoint of ours or PyTorch's stores weights in.
fn floats(view: &TensorView<'_>) -> Option<HostTensor> {
    let (shape, data) = (view.shape().to_vec(), view.data());
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F64 => data
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
            .collect(),
        Dtype::BF16 => data.chunks_exact(2).map(|b| bf16_to_f32(u16::from_le_bytes([b[0], b[1]]))).collect(),
        Dtype::F16 => data.chunks_exact(2).map(|b| f16_to_f32(u16::from_le_bytes([b[0], b[1]]))).collect(),
        Dtype::I64 => data
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
            .collect(),
        _ => return None,
    };
    Some(HostTensor::new(shape, values))
}

fn fingerprint(tensors: &Tensors, metadata: &Map<String, Value>) -> String {
    let mut hash = Sha256::new();
    hash.update(Value::Object(metadata.clone()).to_string());
    for (name, data) in tensors {
        hash.update(name);
        for size in data.shape().iter() {
            hash.update((*size as u64).to_le_bytes());
        }
        hash.update(bytemuck::cast_slice::<f32, u8>(data.values()));
    }
    crate::numbers::hex(&hash.finalize())
}
