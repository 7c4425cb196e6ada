//! Images that stay in their files and are decoded on demand.

use crate::error::Result;
use residual::image::{Image, ResizeSpec};
use std::path::PathBuf;

/// Paths of images, and how each is resized once it is decoded.
#[derive(Debug)]
pub(crate) struct FileStore {
    paths: Vec<PathBuf>,
    spec: ResizeSpec,
}

impl FileStore {
    pub fn new(paths: Vec<PathBuf>, spec: ResizeSpec) -> Self {
        Self { paths, spec }
    }

    /// Returns how images are resized.
    pub fn resize_spec(&self) -> ResizeSpec {
        self.spec
    }

    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Decodes image `i` at its own size.
    pub fn image(&self, i: usize) -> Result<Image> {
        Image::open(&self.paths[i])
    }

    /// Decodes and resizes image `i`.
    pub fn pixels(&self, i: usize) -> Result<Vec<u8>> {
        Ok(self.image(i)?.fitted(&self.spec))
    }
}
