//! Digests of downloaded archives.

use super::catalogue::Archive;
use md5::{Digest, Md5};
use residual::numbers::hex;
use sha2::Sha256;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Checks that a file is the published archive, by MD5 and, where one is published, by SHA-256.
///
/// # Errors
/// Returns what is wrong, to be reported for one mirror among several.
pub(crate) fn verify(archive: &Archive, path: &Path) -> Result<(), String> {
    let mut file = File::open(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let (mut md5, mut sha256) = (Md5::new(), Sha256::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        if n == 0 {
            break;
        }
        rayon::join(|| md5.update(&buffer[..n]), || sha256.update(&buffer[..n]));
    }
    let found = hex(&md5.finalize());
    if found != archive.md5 {
        return Err(format!("the MD5 of {} must be {}, got {found}", archive.file, archive.md5));
    }
    let found = hex(&sha256.finalize());
    match archive.sha256 {
        Some(published) if published != found => {
            Err(format!("the SHA-256 of {} must be {published}, got {found}", archive.file))
        }
        _ => Ok(()),
    }
}
