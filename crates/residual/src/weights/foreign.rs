//! Files that are not safetensors.

use super::pytorch;
use crate::error::Error;

/// Returns the error for a file that is not safetensors, or that has to be imported first; `None` if
/// it may be safetensors.
pub(super) fn foreign(file: &str, bytes: &[u8]) -> Option<Error> {
    if pytorch::is_pytorch(bytes) {
        let error = Error::weights(format!("{file} is a file of PyTorch"));
        return Some(
            error.with_hint("`residual import FILE --as NAME --out NEW` makes one of it that every command takes"),
        );
    }
    let (what, hint) = match bytes {
        [] => ("is damaged: it is empty", "get another copy"),
        _ if bytes.starts_with(b"version https://git-lfs") => {
            ("is a pointer of Git LFS, not the file itself", "`git lfs pull` fetches what it points to")
        }
        _ if bytes.get(8).is_some_and(|&first| first != b'{') => (
            "is neither a PyTorch file nor safetensors",
            "files of torch.save (.pth, .pt, .th) and safetensors can be imported",
        ),
        _ => return None,
    };
    Some(Error::weights(format!("{file} {what}")).with_hint(hint))
}
