//! The development kit's `meta.mat`: which WordNet ID each of ILSVRC2012's class numbers is (they are not in the IDs' order).
//!
//! A MATLAB file of level 5 is a header of 128 bytes and elements of type, size and data, compressed by themselves; the
//! kit's has one, the array of structures `synsets`. Only what that is made of is read: structures, text, real numbers.

use crate::error::{Error, Result};
use flate2::read::ZlibDecoder;
use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::Path;

/// Types of elements (MAT-File Format, table 1-1).
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// Classes of arrays.
const STRUCTURE: u8 = 2;
/// The kit's is 400 KiB when unpacked.
const MOST_BYTES: u64 = 64 << 20;

type Read5<T> = std::result::Result<T, &'static str>;

/// WordNet IDs by number.
///
/// # Errors
/// A file that cannot be read, is of another form, or has no such numbers.
pub(super) fn ids(file: &Path) -> Result<HashMap<String, String>> {
    let bytes = fs::read(file).map_err(|error| Error::io("read", file, error))?;
    let fail = |why| {
        Error::data(format!("{} does not say whose numbers classes have: {why}", file.display()))
            .with_hint("map_clsloc.txt (of a kit of 2014 or later) or a val.txt with a file and its class does, too")
    };
    synsets(&bytes).map_err(fail)
}

fn synsets(bytes: &[u8]) -> Read5<HashMap<String, String>> {
    if bytes.len() < 128 || &bytes[126..128] != b"IM" {
        return Err("it is no MATLAB file of level 5");
    }
    let mut at = 128;
    while at < bytes.len() {
        let (kind, data) = element(bytes, &mut at)?;
        let mut unpacked = Vec::new();
        let data = match kind {
            MATRIX => data,
            COMPRESSED => {
                let read = ZlibDecoder::new(data).take(MOST_BYTES).read_to_end(&mut unpacked);
                read.map_err(|_| "it is damaged")?;
                element(&unpacked, &mut 0)?.1
            }
            _ => continue,
        };
        let parts = elements(data)?;
        if let [flags, _, name, ..] = parts[..]
            && flags.first() == Some(&STRUCTURE)
            && name == b"synsets"
        {
            return numbers(&parts);
        }
    }
    Err("it has no synsets")
}

/// The numbers and IDs of an array of structures: flags, dimensions, name, length of a field's name, the fields' names, then
/// the fields of each structure.
fn numbers(parts: &[&[u8]]) -> Read5<HashMap<String, String>> {
    let [_, _, _, length, names, values @ ..] = parts else { return Err("its synsets are no structures") };
    let length = length.iter().take(4).rev().fold(0, |length, &b| length << 8 | usize::from(b));
    if length == 0 {
        return Err("its synsets have no fields");
    }
    let names: Vec<&[u8]> = names.chunks(length).map(|name| name.split(|b| *b == 0).next().unwrap_or(name)).collect();
    let place = |wanted: &[u8]| names.iter().position(|name| *name == wanted);
    let (Some(number), Some(id)) = (place(b"ILSVRC2012_ID"), place(b"WNID")) else {
        return Err("its synsets have no ILSVRC2012_ID and WNID");
    };
    let synset = |fields: &[&[u8]]| Some((value(fields[number])?, value(fields[id])?));
    let found = values.chunks_exact(names.len()).map(synset).collect::<Option<HashMap<_, _>>>();
    found.filter(|found| !found.is_empty()).ok_or("its synsets hold something else than numbers and text")
}

/// An array's values as text: a word, or a number.
fn value(matrix: &[u8]) -> Option<String> {
    let mut at = 0;
    // Flags, dimensions and name come before.
    for _ in 0..3 {
        element(matrix, &mut at).ok()?;
    }
    let (kind, data) = element(matrix, &mut at).ok()?;
    let number = |width: usize| data.get(..width).map(|b| b.iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b)));
    let is_text = matrix.get(8) == Some(&4);
    match kind {
        // Bytes and UTF-8.
        1 | 2 | 16 if is_text => String::from_utf8(data.to_vec()).ok(),
        // 16 bits a letter.
        3 | 4 | 17 if is_text => {
            String::from_utf16(&data.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect::<Vec<_>>()).ok()
        }
        1 | 2 => Some(number(1)?.to_string()),
        3 | 4 => Some(number(2)?.to_string()),
        5 | 6 => Some(number(4)?.to_string()),
        9 => Some(f64::from_bits(number(8)?).to_string()),
        12 | 13 => Some(number(8)?.to_string()),
        _ => None,
    }
}

fn elements(bytes: &[u8]) -> Read5<Vec<&[u8]>> {
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        found.push(element(bytes, &mut at)?.1);
    }
    Ok(found)
}

/// The element at `at`: its type and data. Up to four bytes of data may stand in the tag itself.
fn element<'a>(bytes: &'a [u8], at: &mut usize) -> Read5<(u32, &'a [u8])> {
    let cut = "it is cut short";
    let word = |at: usize| {
        let word = bytes.get(at..at + 4).ok_or(cut)?;
        Ok::<u32, &'static str>(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    };
    let tag = word(*at)?;
    if tag >> 16 > 0 {
        let data = bytes.get(*at + 4..*at + 4 + (tag >> 16) as usize).ok_or(cut)?;
        *at += 8;
        return Ok((tag & 0xffff, data));
    }
    let size = word(*at + 4)? as usize;
    let data = bytes.get(*at + 8..*at + 8 + size).ok_or(cut)?;
    *at += 8 + if tag == COMPRESSED { size } else { size.next_multiple_of(8) };
    Ok((tag, data))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    fn tagged(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut out = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
        out.extend(data);
        out.resize(out.len().next_multiple_of(8), 0);
        out
    }

    fn matrix(class: u8, name: &[u8], rest: &[Vec<u8>]) -> Vec<u8> {
        let head = [tagged(6, &[class, 0, 0, 0, 0, 0, 0, 0]), tagged(5, &[1, 0, 0, 0, 1, 0, 0, 0]), tagged(1, name)];
        tagged(MATRIX, &[head.concat(), rest.concat()].concat())
    }

    /// `meta.mat` as the kit has it: numbers of 8 bits in the tag or as doubles, text of 16 bits a letter.
    pub(in super::super) fn meta(ids: &[&str], packed: bool) -> Vec<u8> {
        let mut rest = vec![vec![5, 0, 4, 0, 32, 0, 0, 0]];
        let names = ["words", "ILSVRC2012_ID", "WNID"].map(|name| format!("{name:\0<32}"));
        rest.push(tagged(1, names.concat().as_bytes()));
        for (i, id) in ids.iter().enumerate() {
            let letters: Vec<u8> = id.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let number = match i % 2 {
                0 => vec![2, 0, 1, 0, i as u8 + 1, 0, 0, 0],
                _ => tagged(9, &(i as f64 + 1.0).to_le_bytes()),
            };
            rest.extend([matrix(4, b"", &[tagged(16, b"a fish")]), matrix(6, b"", &[number])]);
            rest.push(matrix(4, b"", &[tagged(4, &letters)]));
        }
        let array = matrix(STRUCTURE, b"synsets", &rest);
        let mut out = vec![b' '; 124];
        out.extend([0, 1, b'I', b'M']);
        if !packed {
            return [out, array].concat();
        }
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&array).expect("memory");
        let data = encoder.finish().expect("memory");
        out.extend([COMPRESSED.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat());
        out.extend(data);
        out
    }

    #[test]
    fn numbers_have_their_ids_packed_or_not_and_damaged_files_have_none() {
        let ids = ["n02119789", "n02100735", "n02110185"];
        for packed in [false, true] {
            let file = meta(&ids, packed);
            let found = synsets(&file).expect("whole");
            assert_eq!(found.len(), 3);
            assert!(ids.iter().enumerate().all(|(i, id)| found[&(i + 1).to_string()] == *id));
            for end in 0..file.len() {
                let _ = synsets(&file[..end]);
            }
            assert!(synsets(&file[..file.len() / 2]).is_err());
        }
        assert!(synsets(b"MATLAB 4").is_err());
    }
}
