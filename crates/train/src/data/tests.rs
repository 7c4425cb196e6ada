//! Small data sets in every layout, whole and broken, read through [`open`].

mod folders;

use super::fixtures::{class, png, turned_jpeg};
use super::raw::ValidateLevel;
use super::source::{MEMORY_BUDGET, images};
use super::*;
use crate::error::Error;
use ::image::ExtendedColorType;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const RECORD: usize = 3073;

/// Two training files of five records and a test file of four; a pixel is 100 · file + 10 · record
/// + channel.
fn cifar() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, name, n) in [(0, "data_batch_1.bin", 5), (1, "data_batch_2.bin", 5), (2, "test_batch.bin", 4)] {
        let records = (0..n).flat_map(|i: u8| {
            let planes = (0..3u8).flat_map(move |c| std::iter::repeat_n(100 * file + 10 * i + c, 1024));
            std::iter::once(i).chain(planes)
        });
        fs::write(folder.path().join(name), records.collect::<Vec<u8>>()).expect("writable");
    }
    folder
}

fn options(folder: &Path) -> DataOptions {
    DataOptions::new(folder.to_string_lossy())
}

fn refused(folder: &Path) -> Error {
    open(&options(folder), &mut ()).expect_err("a broken folder")
}

/// Changes one file of a folder.
fn change(folder: &TempDir, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let path = folder.path().join(file);
    let mut bytes = fs::read(&path).expect("it is there");
    change(&mut bytes);
    fs::write(&path, bytes).expect("writable");
    path
}

#[test]
fn binary_records_become_images_with_interleaved_channels_and_names() {
    let folder = cifar();
    let data = open(&DataOptions { validation: Some(0), ..options(folder.path()) }, &mut ()).expect("whole");
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (10, 0, 4));
    assert_eq!((data.train.height(), data.train.width(), data.train.channels()), (32, 32, 3));
    assert_eq!(data.train.pixels(7).expect("in memory")[..6], [120, 121, 122, 120, 121, 122]);
    assert_eq!((data.train.label(7), data.train.name(7).as_str()), (2, "data_batch_2.bin #2"));
    assert_eq!(data.test.name(3), "test_batch.bin #3");
    assert_eq!((data.name.as_str(), data.classes[9].as_str()), ("cifar10", "truck"));
    // Ten images do not claim to be CIFAR-10.
    assert_eq!((data.provenance.canonical, data.provenance.images), (None, 14));
}

#[test]
fn an_error_names_the_truncated_record() {
    let folder = cifar();
    let path = change(&folder, "data_batch_2.bin", |bytes| bytes.truncate(4 * RECORD + 100));
    let expected = format!("{} is truncated: record 4 has 100 of 3073 bytes", path.display());
    assert_eq!(refused(folder.path()).to_string(), expected);
}

#[test]
fn a_file_that_lost_whole_records_fails_as_short() {
    let folder = cifar();
    let path = change(&folder, "data_batch_1.bin", |bytes| bytes.truncate(4 * RECORD));
    let expected = format!("{} is short: 4 records, where the other training files have 5", path.display());
    assert_eq!(refused(folder.path()).to_string(), expected);
}

#[test]
fn an_empty_file_fails_as_too_short() {
    let folder = cifar();
    let path = change(&folder, "test_batch.bin", Vec::clear);
    let expected = format!("{} is too short: 0 bytes, where a record has 3073", path.display());
    assert_eq!(refused(folder.path()).to_string(), expected);
}

#[test]
fn a_label_out_of_range_names_file_and_record() {
    let folder = cifar();
    let path = change(&folder, "data_batch_2.bin", |bytes| bytes[3 * RECORD] = 17);
    let expected = format!("label 17 of record 3 in {} is out of range: there are 10 classes", path.display());
    assert_eq!(refused(folder.path()).to_string(), expected);
}

#[test]
fn an_error_names_the_missing_file_even_in_the_middle() {
    let folder = cifar();
    fs::rename(folder.path().join("data_batch_2.bin"), folder.path().join("data_batch_3.bin")).expect("movable");
    let missing = folder.path().join("data_batch_2.bin");
    assert_eq!(refused(folder.path()).to_string(), format!("{} is missing", missing.display()));
    let folder = cifar();
    fs::remove_file(folder.path().join("test_batch.bin")).expect("removable");
    let missing = folder.path().join("test_batch.bin");
    assert_eq!(refused(folder.path()).to_string(), format!("{} is missing", missing.display()));
}

#[test]
fn fewer_than_five_full_files_fail_as_an_incomplete_cifar_10() {
    let folder = cifar();
    for file in ["data_batch_1.bin", "data_batch_2.bin"] {
        change(&folder, file, |bytes| bytes.resize(10_000 * RECORD, 0));
    }
    let missing = folder.path().join("data_batch_3.bin");
    let expected = format!("{} is missing: CIFAR-10 has five training files", missing.display());
    assert_eq!(refused(folder.path()).to_string(), expected);
}

#[test]
fn the_error_for_a_folder_without_images_lists_the_layouts() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = refused(folder.path());
    assert!(error.to_string().ends_with("has no images in a known layout"), "{error}");
    assert!(error.hint().expect("a hint").contains("DIR/CLASS/*.jpg"));
    fs::write(folder.path().join("notes.txt"), "no images").expect("writable");
    assert!(refused(folder.path()).to_string().ends_with("has no images in a known layout"));
}

#[test]
fn a_misspelt_source_gets_the_nearest_name_as_hint() {
    let error = open(&DataOptions::new("cifer10"), &mut ()).expect_err("no such source");
    assert_eq!(error.hint(), Some("did you mean \"cifar10\"?"));
}

#[test]
fn an_archive_is_read_like_its_folder_and_a_truncated_one_fails() {
    let folder = cifar();
    let archive = folder.path().join("small.tar.gz");
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for file in ["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"] {
        tar.append_path_with_name(folder.path().join(file), format!("cifar-10-batches-bin/{file}")).expect("readable");
    }
    let bytes = tar.into_inner().and_then(flate2::write::GzEncoder::finish).expect("in memory");
    fs::write(&archive, &bytes).expect("writable");
    let (packed, loose) = (check(&archive, &mut ()).expect("whole"), check(folder.path(), &mut ()).expect("whole"));
    assert_eq!((packed.md5, packed.images), (loose.md5, loose.images));
    fs::write(&archive, &bytes[..bytes.len() / 2]).expect("writable");
    assert!(refused(&archive).to_string().contains("is truncated or not a tar archive"));
}

#[test]
fn splits_do_not_depend_on_the_seed_and_validation_stays_when_train_size_grows() {
    let all = Images::from_memory(1, 1, 1, vec![0; 20_000], vec![0; 20_000]).expect("lengths agree");
    let split = |train_size, validation| {
        let options = DataOptions { train_size, validation, ..DataOptions::default() };
        source::split(&all, &options, false)
    };
    let names = |images: &Images| (0..images.len()).map(|i| images.name(i)).collect::<Vec<_>>();
    let (few, few_validation) = split(1000, Some(100)).expect("enough");
    let (many, many_validation) = split(5000, Some(100)).expect("enough");
    assert_eq!((few.len(), few_validation.len(), many.len()), (900, 100, 4900));
    assert_eq!(names(&few_validation), names(&many_validation));
    // Pinned: results on a validation split can be compared only while it stays the same.
    assert_eq!(names(&few_validation)[..3], ["image #125", "image #312", "image #641"]);
    let validation: std::collections::BTreeSet<String> = names(&few_validation).into_iter().collect();
    assert!(names(&many).iter().all(|name| !validation.contains(name)));
    for (wanted, expected) in [(None, (18_000, 2_000)), (Some(0), (20_000, 0))] {
        let (train, validation) = split(0, wanted).expect("enough");
        assert_eq!((train.len(), validation.len()), expected);
    }
    let error = split(10, Some(10)).expect_err("nothing to train on");
    assert_eq!(error.hint(), Some("data.validation = 0 trains on all of them"));
    let error = split(20_001, None).expect_err("too many");
    assert_eq!(error.to_string(), "data.train_size is 20001, but there are only 20000 training images");
}

#[test]
fn images_are_resized_to_the_requested_size_and_channels() {
    let folder = cifar();
    let wanted = DataOptions { input: Some(48), channels: Some(1), ..options(folder.path()) };
    let data = open(&wanted, &mut ()).expect("whole");
    assert_eq!((data.train.height(), data.train.width(), data.train.channels()), (48, 48, 1));
    // Flat images stay flat: the luma of (200, 201, 202).
    assert!(data.test.pixels(0).expect("in memory").iter().all(|v| *v == 201));
    assert_eq!(data.test.name(0), "test_batch.bin #0");
    let none = open(&DataOptions { input: Some(0), ..options(folder.path()) }, &mut ());
    assert_eq!(none.expect_err("no pixels").kind(), crate::Kind::Usage);
}

/// A pickle of Python 2, as CIFAR's are, of `n` records that all have `label`.
fn pickled(n: u32, label: u8, key: &str) -> Vec<u8> {
    let string = |text: &[u8]| [b"U", &[text.len() as u8][..], text].concat();
    let mut out = b"\x80\x02}(".to_vec();
    out.extend(string(b"data"));
    out.extend(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01M");
    out.extend((n as u16).to_le_bytes());
    out.extend(b"M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T");
    out.extend((n * 3072).to_le_bytes());
    out.extend((0..n * 3072).map(|i| (i / 1024 % 3 * 50) as u8));
    out.extend(b"tb");
    out.extend(string(key.as_bytes()));
    out.extend(b"](");
    (0..n).for_each(|_| out.extend([b'K', label]));
    out.extend(b"eu.");
    out
}

#[test]
fn pickles_are_read_and_errors_name_broken_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("cifar-10-batches-py");
    fs::create_dir(&inner).expect("writable");
    for file in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        fs::write(inner.join(file), pickled(3, 7, "labels")).expect("writable");
    }
    let data = open(&DataOptions { validation: Some(0), ..options(folder.path()) }, &mut ()).expect("whole");
    assert_eq!((data.train.len(), data.test.len(), data.train.label(14)), (15, 3, 7));
    assert_eq!(data.train.pixels(14).expect("in memory")[..4], [0, 50, 100, 0]);
    let file = inner.join("data_batch_4");
    fs::write(&file, pickled(3, 12, "labels")).expect("writable");
    let expected = format!("label 12 of record 0 in {} is out of range: there are 10 classes", file.display());
    assert_eq!(refused(folder.path()).to_string(), expected);
    fs::write(&file, &pickled(3, 7, "labels")[..5000]).expect("writable");
    let error = refused(folder.path()).to_string();
    assert!(error.starts_with(&format!("{} is not a supported pickle: it is truncated", file.display())), "{error}");
    fs::write(&file, pickled(3, 7, "colours")).expect("writable");
    assert_eq!(refused(folder.path()).to_string(), format!("{} has no list of \"labels\"", file.display()));
    fs::remove_file(&file).expect("removable");
    assert_eq!(refused(folder.path()).to_string(), format!("{} is missing", file.display()));
}

#[test]
fn cifar_100_has_fine_labels_in_both_layouts() {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, n) in [("train", 6), ("test", 2)] {
        fs::write(folder.path().join(file), pickled(n, 99, "fine_labels")).expect("writable");
    }
    let data = open(&options(folder.path()), &mut ()).expect("whole");
    assert_eq!((data.classes.len(), data.classes[data.test.label(1)].as_str()), (100, "worm"));
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["train.bin", "test.bin"] {
        let record = [vec![3, 42], vec![9; 3072]].concat();
        fs::write(folder.path().join(file), record.repeat(2)).expect("writable");
    }
    let data = open(&options(folder.path()), &mut ()).expect("whole");
    assert_eq!((data.name.as_str(), data.classes[data.train.label(0)].as_str()), ("cifar100", "leopard"));
}

/// MNIST's four files with 3 and 2 images of 4x5 pixels.
fn idx() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (part, n) in [("train", 3u8), ("t10k", 2)] {
        let pixels = (0..n * 20).collect::<Vec<u8>>();
        let images = [&[0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 4, 0, 0, 0, 5][..], &pixels].concat();
        fs::write(folder.path().join(format!("{part}-images-idx3-ubyte")), images).expect("writable");
        let labels = [&[0, 0, 8, 1, 0, 0, 0, n][..], &vec![1; usize::from(n)]].concat();
        fs::write(folder.path().join(format!("{part}-labels-idx1-ubyte")), labels).expect("writable");
    }
    folder
}

#[test]
fn idx_files_are_read_raw_and_compressed() {
    use std::io::Write;
    let folder = idx();
    let data = open(&options(folder.path()), &mut ()).expect("whole");
    assert_eq!((data.train.len(), data.train.height(), data.train.width(), data.train.channels()), (3, 4, 5, 1));
    assert_eq!(data.test.pixels(1).expect("in memory").as_ref(), (20..40).collect::<Vec<u8>>());
    let raw = check(folder.path(), &mut ()).expect("whole");
    let path = folder.path().join("train-images-idx3-ubyte");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&fs::read(&path).expect("it is there")).expect("in memory");
    let packed = gzip.finish().expect("in memory");
    fs::write(path.with_extension("gz"), &packed).expect("writable");
    fs::rename(path.with_extension("gz"), folder.path().join("train-images-idx3-ubyte.gz")).expect("movable");
    fs::remove_file(&path).expect("removable");
    assert_eq!(check(folder.path(), &mut ()).expect("whole").md5, raw.md5);
    fs::write(folder.path().join("train-images-idx3-ubyte.gz"), &packed[..packed.len() - 12]).expect("writable");
    assert!(refused(folder.path()).to_string().contains("is truncated or corrupt gzip"));
}

#[test]
fn errors_of_broken_idx_files_name_file_and_record() {
    type Breaks = fn(&mut Vec<u8>);
    let cases: [(&str, Breaks, &str); 5] = [
        ("train-images-idx3-ubyte", |bytes| bytes.truncate(16 + 45), "is truncated in record 2 of 3"),
        ("t10k-images-idx3-ubyte", |bytes| bytes.push(0), "has 1 bytes more than its 2 records need"),
        ("t10k-labels-idx1-ubyte", |bytes| bytes[3] = 3, "is not an idx file of bytes in 1 dimensions"),
        ("train-labels-idx1-ubyte", |bytes| bytes.clear(), "is not an idx file of bytes in 1 dimensions"),
        ("train-images-idx3-ubyte", |bytes| bytes[4..8].fill(255), "is truncated in record 3 of 4294967295"),
    ];
    for (file, break_it, expected) in cases {
        let folder = idx();
        let path = change(&folder, file, break_it);
        assert_eq!(refused(folder.path()).to_string(), format!("{} {expected}", path.display()));
    }
    let folder = idx();
    fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte")).expect("removable");
    let missing = folder.path().join("t10k-labels-idx1-ubyte");
    assert_eq!(refused(folder.path()).to_string(), format!("{} is missing", missing.display()));
    let folder = idx();
    let path = change(&folder, "train-labels-idx1-ubyte", |bytes| {
        bytes[7] = 2;
        bytes.pop();
    });
    let images = folder.path().join("train-images-idx3-ubyte");
    let expected = format!("{} has 3 images and {} 2 labels", images.display(), path.display());
    assert_eq!(refused(folder.path()).to_string(), expected);
}

#[test]
fn images_resized_on_demand_equal_those_resized_at_once() {
    let folder = cifar();
    let options = DataOptions { input: Some(20), ..options(folder.path()) };
    let read = || source::read(folder.path(), &options, ValidateLevel::Headers, &mut ()).expect("whole").train;
    let (kept, later) = (images(read(), &options, MEMORY_BUDGET), images(read(), &options, 0));
    assert!(kept.in_memory() && !later.in_memory());
    assert_eq!(kept.pixels(6).expect("in memory"), later.pixels(6).expect("in memory"));
    assert_eq!((kept.name(6), kept.label(6)), (later.name(6), later.label(6)));
    assert_eq!(later.original(6).expect("in memory").height, 32);
}

#[test]
fn a_scale_above_the_input_size_also_applies_to_images_of_input_size() {
    let folder = cifar();
    let plain = options(folder.path());
    let scaled = DataOptions { input: Some(32), scale: Some(40), ..plain.clone() };
    let read = |options: &DataOptions, budget| {
        let found = source::read(folder.path(), options, ValidateLevel::Headers, &mut ()).expect("whole").train;
        images(found, options, budget)
    };
    assert!(read(&plain, 0).in_memory(), "they already have the right size");
    // Scaled to 40 and cropped back to 32 on demand.
    assert!(!read(&scaled, 0).in_memory());
    assert_eq!(
        read(&scaled, 0).pixels(3).expect("in memory"),
        read(&scaled, MEMORY_BUDGET).pixels(3).expect("in memory")
    );
}

#[test]
fn an_archive_of_images_is_not_unpacked() {
    let folder = cifar();
    let archive = folder.path().join("images.tar");
    let mut tar = tar::Builder::new(Vec::new());
    for (file, name) in [("test_batch.bin", "n01440764.tar"), ("data_batch_1.bin", "data_batch_1.bin")] {
        tar.append_path_with_name(folder.path().join(file), name).expect("readable");
    }
    fs::write(&archive, tar.into_inner().expect("in memory")).expect("writable");
    let error = refused(&archive);
    assert!(error.to_string().contains("has none of"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("unpack an archive of images")));
}
