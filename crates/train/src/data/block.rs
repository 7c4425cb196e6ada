//! Records in memory: pixels, labels and names of many images, as files of a data set hold them.

use crate::error::Error;
use rayon::prelude::*;
use residual::image::ResizeSpec;
use std::path::PathBuf;

/// Names of images in messages and reports.
#[derive(Debug)]
pub(crate) enum Names {
    /// Runs of numbered records: a file's name and how many records it holds.
    Records(Vec<(String, usize)>),
    /// One file per image.
    Files(Vec<PathBuf>),
}

impl Names {
    /// Returns the path of image `i`, or its file and number such as `test_batch.bin #17`.
    pub fn get(&self, i: usize) -> String {
        match self {
            Self::Files(paths) => paths[i].display().to_string(),
            Self::Records(runs) => {
                let mut rest = i;
                for (file, n) in runs {
                    if rest < *n {
                        return format!("{file} #{rest}");
                    }
                    rest -= n;
                }
                format!("#{i}")
            }
        }
    }
}

/// Images as a file holds them, not yet resized.
#[derive(Debug)]
pub(crate) struct Block {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Values of all images, `[n, height, width, channels]`.
    pub pixels: Vec<u8>,
    /// The class of each image, `[n]`.
    pub labels: Vec<u32>,
    pub names: Names,
}

impl Block {
    /// Returns the bytes of one image.
    pub fn stride(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Returns image `i`, `[h, w, c]`.
    pub fn image(&self, i: usize) -> &[u8] {
        &self.pixels[i * self.stride()..(i + 1) * self.stride()]
    }

    /// Resizes every image.
    pub fn resized(self, spec: &ResizeSpec) -> Self {
        let ResizeSpec { height, width, channels, .. } = *spec;
        let stride = height * width * channels;
        let mut pixels = vec![0; self.labels.len() * stride];
        pixels.par_chunks_exact_mut(stride).zip(self.pixels.par_chunks_exact(self.stride())).for_each(
            |(out, image)| {
                out.copy_from_slice(&spec.apply(image, self.height, self.width, self.channels));
            },
        );
        Self { height, width, channels, pixels, labels: self.labels, names: self.names }
    }
}

/// Returns the error for a label that no class has.
pub(crate) fn label_out_of_range(label: i64, record: usize, file: &str, classes: usize) -> Error {
    Error::data(format!("label {label} of record {record} in {file} is out of range: there are {classes} classes"))
        .with_hint("the file may be corrupt, or its records of another length")
}
