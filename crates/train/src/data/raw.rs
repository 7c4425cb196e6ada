//! What a reader finds in a source, before images are resized and split.

use super::block::Block;
use super::file_store::FileStore;
use super::provenance::Provenance;

/// The images of one split as a reader found them.
#[derive(Debug)]
pub(crate) enum RawSplit {
    /// Images in memory.
    Block(Block),
    /// Files that are decoded and resized on demand, and their labels.
    Files(FileStore, Vec<u32>),
}

impl RawSplit {
    pub fn labels(&self) -> &[u32] {
        match self {
            Self::Block(block) => &block.labels,
            Self::Files(_, labels) => labels,
        }
    }

    /// Returns the images if they are in memory.
    pub fn block(&self) -> Option<&Block> {
        match self {
            Self::Block(block) => Some(block),
            Self::Files(..) => None,
        }
    }
}

/// How thoroughly images are validated that will stay on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValidateLevel {
    /// Checks headers and ends, which finds truncated files and costs no more than reading them.
    Headers,
    /// Decodes every image.
    Full,
}

/// A data set as a reader found it.
#[derive(Debug)]
pub(crate) struct RawDataset {
    pub name: String,
    pub classes: Vec<String>,
    pub train: RawSplit,
    pub validation: Option<RawSplit>,
    pub test: RawSplit,
    /// Whether the source names its test images, rather than having some held out.
    pub has_test_split: bool,
    pub provenance: Provenance,
    pub warnings: Vec<String>,
}

impl RawDataset {
    /// Takes a training and a test split in memory, as published data sets have them.
    pub fn in_memory(name: &str, classes: Vec<String>, train: Block, test: Block, provenance: Provenance) -> Self {
        let (train, test) = (RawSplit::Block(train), RawSplit::Block(test));
        let (name, warnings) = (name.into(), Vec::new());
        Self { name, classes, train, validation: None, test, has_test_split: true, provenance, warnings }
    }
}
