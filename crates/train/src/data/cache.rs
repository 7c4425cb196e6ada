//! The folder in which downloaded data sets and indices of large folders are kept.

use crate::error::{Error, Result};
use etcetera::BaseStrategy;
use std::path::PathBuf;

/// Returns the cache folder: `$RESIDUAL_CACHE`, else `residual` in the platform's cache folder.
///
/// # Errors
/// Fails if `$RESIDUAL_CACHE` is not set and the user has no home folder.
pub fn cache_dir() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("RESIDUAL_CACHE") {
        return Ok(folder.into());
    }
    let strategy = etcetera::choose_base_strategy().map_err(|e| {
        Error::data(format!("there is no folder to cache data in: {e}")).with_hint("set RESIDUAL_CACHE to a folder")
    })?;
    Ok(strategy.cache_dir().join("residual"))
}
