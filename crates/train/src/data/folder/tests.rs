//! ImageNet's layouts, whole and broken, and folders that change between two runs.

use super::super::fixtures::{class, png, turned_jpeg};
use super::super::{DataOptions, Dataset, open};
use super::index::Checked;
use super::splits::Listing;
use super::tree::Tree;
use super::*;
use crate::error::Error;
use image::ExtendedColorType;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const IDS: [&str; 3] = ["n01440764", "n01443537", "n01484850"];
const NAMES: [&str; 3] = ["tench", "goldfish", "great white shark"];

fn opened(folder: &Path) -> Result<Dataset> {
    open(&DataOptions { input: Some(8), ..DataOptions::new(folder.to_string_lossy()) }, &mut ())
}

fn refused(folder: &Path) -> Error {
    opened(folder).expect_err("a broken folder")
}

fn file(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    fs::write(path, text).expect("writable");
}

/// Writes `train/ID/*` for three classes.
fn with_train(base: &Path) {
    for (i, id) in IDS.iter().enumerate() {
        class(&base.join("train"), id, 12, 10 * i as u8);
    }
}

/// Writes images named like ImageNet's validation images, one for each of `greys`.
fn flat(folder: &Path, greys: &[u8]) {
    fs::create_dir_all(folder).expect("writable");
    for (i, &grey) in greys.iter().enumerate() {
        let name = format!("ILSVRC2012_val_{:08}.png", i + 1);
        fs::write(folder.join(name), png(&[grey; 81], 9, 9, ExtendedColorType::L8)).expect("writable");
    }
}

/// Returns label and grey of each test image.
fn tested(data: &Dataset) -> Vec<(usize, u8)> {
    (0..data.test.len()).map(|i| (data.test.label(i), data.test.pixels(i).expect("whole")[0])).collect()
}

#[test]
fn class_folders_named_by_id_get_imagenets_names_in_order_of_ids() {
    let folder = tempfile::tempdir().expect("a folder");
    with_train(folder.path());
    for (i, id) in IDS.iter().enumerate() {
        class(&folder.path().join("val"), id, 2, 10 * i as u8);
    }
    let data = opened(folder.path()).expect("whole");
    assert_eq!(data.classes, NAMES);
    assert_eq!(tested(&data), [(0, 0), (0, 0), (1, 10), (1, 10), (2, 20), (2, 20)]);
}

#[test]
fn every_format_of_labels_is_read_for_a_flat_val_folder() {
    let greys = [20, 0, 10, 0];
    let expected = [(2, 20), (0, 0), (1, 10), (0, 0)];
    let name = |i: usize| format!("ILSVRC2012_val_{:08}", i + 1);
    let ids = greys.map(|grey| IDS[usize::from(grey) / 10]);
    let lines = |line: &dyn Fn(usize) -> String| (0..4).map(line).collect::<Vec<_>>().join("\n");
    let solution = lines(&|i| format!("{},{} 85 1 499 272 3 4 5 6", name(i), ids[i]));
    let by_name = lines(&|i| format!("{}.png {}", name(i), NAMES[usize::from(greys[i]) / 10]));
    let by_number = lines(&|i| format!("val/{}.png {}", name(i), greys[i] / 10));
    let columns = lines(&|i| format!("{},{},{}.png", greys[i] / 10, ids[i], name(i)));
    let truth = lines(&|i| format!("{}", 7 - greys[i] / 10));
    let map = lines(&|i| format!("{} {} a_name", IDS.get(i).unwrap_or(&"n09999999"), 7 - i as i32));
    let cases: [&[(&str, String)]; 6] = [
        &[("LOC_val_solution.csv", format!("ImageId,PredictionString\n{solution}"))],
        &[("val/val_annotations.txt", lines(&|i| format!("{}.png\t{}\t0\t32\t44\t62", name(i), ids[i])))],
        &[("val.txt", by_number)],
        &[("val/labels.txt", by_name)],
        &[("val/labels.csv", format!("index,wnid,file\n{columns}"))],
        &[("devkit/data/ILSVRC2012_validation_ground_truth.txt", truth), ("devkit/data/map_clsloc.txt", map)],
    ];
    for files in cases {
        let folder = tempfile::tempdir().expect("a folder");
        with_train(folder.path());
        flat(&folder.path().join("val"), &greys);
        files.iter().for_each(|(name, text)| file(folder.path(), name, text));
        let data = opened(folder.path()).unwrap_or_else(|error| panic!("{}: {error}", files[0].0));
        assert_eq!(tested(&data), expected, "{}", files[0].0);
        assert_eq!(data.classes, NAMES);
    }
}

#[test]
fn tiny_imagenet_and_kaggles_imagenet_are_read_as_unpacked() {
    let tiny = tempfile::tempdir().expect("a folder");
    for (i, id) in IDS.iter().enumerate() {
        class(&tiny.path().join("train").join(id), "images", 12, 10 * i as u8);
        file(tiny.path(), &format!("train/{id}/{id}_boxes.txt"), "boxes");
    }
    flat(&tiny.path().join("val/images"), &[10, 0]);
    let annotations = "ILSVRC2012_val_00000001.JPEG\tn01443537\t0\t0\nILSVRC2012_val_00000002.JPEG\tn01440764\t0\t0\n";
    file(tiny.path(), "val/val_annotations.txt", annotations);
    flat(&tiny.path().join("test/images"), &[0; 3]);
    let data = opened(tiny.path()).expect("whole");
    assert_eq!(tested(&data), [(1, 10), (0, 0)]);
    assert!(data.warnings[0].ends_with("test is ignored: it has no class folders"), "{:?}", data.warnings);

    let kaggle = tempfile::tempdir().expect("a folder");
    with_train(&kaggle.path().join("ILSVRC/Data/CLS-LOC"));
    flat(&kaggle.path().join("ILSVRC/Data/CLS-LOC/val"), &[10, 0]);
    let unlabelled = kaggle.path().join("ILSVRC/Data/CLS-LOC/test");
    fs::create_dir_all(&unlabelled).expect("writable");
    fs::write(unlabelled.join("ILSVRC2012_test_00000001.png"), png(&[0; 81], 9, 9, ExtendedColorType::L8))
        .expect("writable");
    let solution = "ImageId,PredictionString\nILSVRC2012_val_00000001,n01443537 1 2 3 4\nILSVRC2012_val_00000002,n01440764 1 2 3 4";
    file(kaggle.path(), "LOC_val_solution.csv", solution);
    for root in [kaggle.path().to_path_buf(), kaggle.path().join("ILSVRC/Data/CLS-LOC")] {
        assert_eq!(tested(&opened(&root).expect("whole")), [(1, 10), (0, 0)], "{}", root.display());
    }
}

#[test]
fn splits_may_have_other_names_and_a_class_may_be_called_images() {
    let folder = tempfile::tempdir().expect("a folder");
    for (split, n) in [("Training", 20), ("Testing", 3)] {
        for (i, name) in ["form", "images", "letter"].into_iter().enumerate() {
            class(&folder.path().join(split), name, n, 10 * i as u8);
        }
    }
    let data = opened(folder.path()).expect("whole");
    assert_eq!(data.classes, ["form", "images", "letter"]);
    assert_eq!((data.train.len() + data.validation.len(), data.test.len()), (60, 9));

    let other = tempfile::tempdir().expect("a folder");
    for split in ["seg_train", "seg_test"] {
        class(&other.path().join(split), "sea", 5, 10);
        class(&other.path().join(split), "street", 5, 20);
    }
    let error = refused(other.path());
    assert!(error.to_string().contains("seg_test, seg_train hold only folders"), "{error}");
}

#[test]
fn classes_may_have_the_names_of_splits_and_may_be_nested() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["Bus", "Testing", "Train"] {
        class(folder.path(), name, 10, 10);
    }
    assert_eq!(opened(folder.path()).expect("whole").classes, ["Bus", "Testing", "Train"]);
    let nested = tempfile::tempdir().expect("a folder");
    for name in ["benign", "malignant"] {
        class(&nested.path().join(name), "40X", 10, 10);
        class(&nested.path().join(name), "100X", 10, 20);
    }
    assert_eq!(opened(nested.path()).expect("whole").classes, ["benign", "malignant"]);
    let pets = tempfile::tempdir().expect("a folder");
    class(pets.path(), "images", 10, 10);
    class(pets.path(), "annotations", 10, 10);
    assert!(refused(pets.path()).to_string().contains("has one class"));
}

#[test]
fn a_test_folder_without_labels_beside_train_is_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    class(&folder.path().join("train"), "cat", 30, 10);
    class(&folder.path().join("train"), "dog", 30, 20);
    flat(&folder.path().join("test"), &[0; 3]);
    let data = opened(folder.path()).expect("train is split");
    assert_eq!(data.train.len() + data.validation.len() + data.test.len(), 60);
    assert!(data.warnings[0].ends_with("test is ignored: it has no class folders"), "{:?}", data.warnings);
}

#[test]
fn a_file_of_names_in_a_folder_above_is_ignored_for_named_classes() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("words.txt"), b"caf\xe9").expect("writable");
    class(&folder.path().join("pets"), "cat", 10, 10);
    class(&folder.path().join("pets"), "dog", 10, 20);
    assert_eq!(opened(&folder.path().join("pets")).expect("whole").classes, ["cat", "dog"]);
}

#[test]
fn the_fingerprint_does_not_depend_on_the_splits() {
    let folder = tempfile::tempdir().expect("a folder");
    class(folder.path(), "cat", 30, 10);
    class(folder.path(), "dog", 30, 20);
    let md5 = |validation| {
        let options = DataOptions { validation, ..DataOptions::new(folder.path().to_string_lossy()) };
        open(&options, &mut ()).expect("whole").provenance.md5
    };
    assert_eq!(md5(None), md5(Some(0)));
    let before = md5(None);
    class(folder.path(), "cat", 1, 11);
    assert_ne!(md5(None), before, "an image has changed");
}

#[test]
fn ids_outside_imagenet_get_names_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    for id in ["n00000001", "n00000002", "n00000003"] {
        class(&folder.path().join("train"), id, 12, 10);
        class(&folder.path().join("val"), id, 2, 10);
    }
    let words = "n00000001\tcrane, bird\nn00000002\tcrane\nn00000004\tdwarf";
    file(folder.path(), "words.txt", words);
    let data = opened(folder.path()).expect("whole");
    assert_eq!(data.classes, ["crane (n00000001)", "crane (n00000002)", "n00000003"]);
}

#[test]
fn val_alone_can_be_tested_on_with_a_networks_classes_but_not_trained_on() {
    let folder = tempfile::tempdir().expect("a folder");
    flat(folder.path(), &[20, 10]);
    file(
        folder.path(),
        "labels.csv",
        "file,wnid\nILSVRC2012_val_00000001,n01484850\nILSVRC2012_val_00000002,n01443537",
    );
    let data = opened(folder.path()).expect("whole");
    assert_eq!((data.train.len(), data.validation.len()), (0, 0));
    let data = data.for_classes(&residual::classes::imagenet::names()).expect("all are known");
    assert_eq!((tested(&data), data.classes.len()), (vec![(2, 20), (1, 10)], 1000));
    let recipe = crate::recipe::Recipe::default_for(&folder.path().to_string_lossy(), "resnet-18").expect("a recipe");
    let error = crate::train::prepare(&recipe, false, &mut ()).expect_err("nothing to train on");
    assert!(error.to_string().ends_with("has no train folder, so it can only be tested on"), "{error}");
}

#[test]
fn the_error_for_a_missing_half_says_what_to_add() {
    let only_train = tempfile::tempdir().expect("a folder");
    with_train(only_train.path());
    let error = refused(only_train.path());
    assert!(error.to_string().ends_with("has train but no val: half of an ImageNet folder is missing"), "{error}");
    assert!(error.hint().expect("a hint").contains("/val"));

    let unlabelled = tempfile::tempdir().expect("a folder");
    with_train(unlabelled.path());
    flat(&unlabelled.path().join("val"), &[0; 4]);
    let error = refused(unlabelled.path());
    assert!(error.to_string().ends_with("val has 4 images, but neither class folders nor a file of labels"), "{error}");
    assert!(error.hint().expect("a hint").contains("val.txt"));

    let no_images = tempfile::tempdir().expect("a folder");
    with_train(no_images.path());
    file(no_images.path(), "val/val_annotations.txt", "a.JPEG\tn01440764\nb.JPEG\tn01440764");
    let error = refused(no_images.path());
    assert!(error.to_string().contains("val_annotations.txt has labels of 2 images, but "), "{error}");

    let no_map = tempfile::tempdir().expect("a folder");
    with_train(no_map.path());
    flat(&no_map.path().join("val"), &[0; 2]);
    // ILSVRC's numbers of goldfish and tench, which are not in the order of the IDs.
    file(no_map.path(), "ILSVRC2012_validation_ground_truth.txt", "450\n449\n");
    assert_eq!(tested(&opened(no_map.path()).expect("whole")), [(1, 0), (0, 0)]);
    file(no_map.path(), "ILSVRC2012_validation_ground_truth.txt", "450\n1001\n");
    let error = refused(no_map.path());
    assert!(error.to_string().ends_with("has class 1001, which is not in the 1000 classes of ILSVRC 2012"), "{error}");
    assert!(error.hint().expect("a hint").contains("map_clsloc.txt"));

    let others = tempfile::tempdir().expect("a folder");
    with_train(others.path());
    flat(&others.path().join("val"), &[0; 2]);
    file(others.path(), "val.txt", "ILSVRC2012_val_00000001 n01440764");
    assert!(refused(others.path()).to_string().contains("val.txt has no label for 1 images, such as "));
    file(others.path(), "val.txt", "cat n01440764\ndog n01440764");
    assert!(refused(others.path()).to_string().contains("val.txt has labels of 2 images, but none of "));
    file(others.path(), "val.txt", "ILSVRC2012_val_00000001 owl\nILSVRC2012_val_00000002 n01440764");
    assert!(refused(others.path()).to_string().contains("has class \"owl\", which the training images do not have"));
}

/// Sets every folder's time an hour back, so that later changes have another time stamp.
fn settle(folder: &Path) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            settle(&path);
        }
    }
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    fs::File::open(folder).and_then(|folder| folder.set_modified(hour_ago)).expect("our own folder");
}

fn settled() -> (TempDir, TempDir) {
    let (folder, cache) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    class(folder.path(), "a", 20, 10);
    class(&folder.path().join("b"), "inner", 20, 20);
    settle(folder.path());
    (folder, cache)
}

#[test]
fn an_index_is_used_until_a_folder_changes() {
    let (folder, cache) = settled();
    let look = || Index::open_in(folder.path(), Some(cache.path()), 0).expect("readable");
    let mut first = look();
    assert_eq!((first.tree.len(), first.checked.is_none()), (40, true));
    first.store(Checked { decoded: false, md5: "known".into(), profiled: 0, bad: Vec::new() });
    let remembered = |index: &Index| index.checked.as_ref().is_some_and(|checked| checked.md5 == "known");
    assert!(remembered(&look()), "nothing has changed");
    let changes: [&dyn Fn(); 3] = [
        &|| fs::write(folder.path().join("b/inner/new.png"), []).expect("writable"),
        &|| fs::remove_file(folder.path().join("a/a-3.png")).expect("removable"),
        &|| fs::rename(folder.path().join("a/a-4.png"), folder.path().join("a/z.png")).expect("movable"),
    ];
    for change in changes {
        change();
        let mut again = look();
        assert!(!remembered(&again), "a changed folder");
        settle(folder.path());
        again = look();
        again.store(Checked { decoded: false, md5: "known".into(), profiled: 0, bad: Vec::new() });
        assert!(remembered(&look()));
    }
    // An index of a walk right after a change is not used, whatever the time stamps.
    fs::write(folder.path().join("a/fresh.png"), []).expect("writable");
    look().store(Checked { decoded: false, md5: "known".into(), profiled: 0, bad: Vec::new() });
    assert!(!remembered(&look()));
    // The folder itself is only read.
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 2);
}

#[test]
fn a_small_folder_has_no_index_and_a_damaged_one_is_ignored() {
    let (folder, cache) = settled();
    Index::open_in(folder.path(), Some(cache.path()), 41).expect("readable");
    assert!(!cache.path().join("index").exists(), "40 images are too few");
    Index::open_in(folder.path(), Some(cache.path()), 40).expect("readable");
    let kept = fs::read_dir(cache.path().join("index")).expect("one file").next().expect("one").expect("one").path();
    fs::write(&kept, b"damaged").expect("writable");
    assert_eq!(Index::open_in(folder.path(), Some(cache.path()), 40).expect("readable").tree.len(), 40);
}

#[test]
fn whole_images_are_not_read_again_and_bad_ones_are() {
    let (folder, _) = settled();
    let (bad, options) = (folder.path().join("a/bad.jpg"), DataOptions::new(folder.path().to_string_lossy()));
    fs::write(&bad, &turned_jpeg()[..99]).expect("writable");
    let spec =
        ResizeSpec { height: 8, width: 8, channels: 3, scale: None, resize: options.resize, filter: options.filter };
    let reader = || Reader::new(folder.path(), spec, false, false, true);
    let listing = || {
        let paths = Tree::walk(folder.path()).expect("readable").images_below(Path::new(""));
        let paths: Vec<PathBuf> = paths.into_iter().map(|path| folder.path().join(path)).collect();
        Listing { labels: vec![0; paths.len()], paths }
    };
    let mut first = reader();
    let found = first.read(listing(), &mut ()).expect("bad ones are counted");
    let checked = first.checked("md5".into());
    assert_eq!((found.labels().len(), &checked.bad), (40, &vec![PathBuf::from("a/bad.jpg")]));
    let mut second = reader();
    let known = second.recheck(checked.clone()).expect("still bad");
    assert_eq!(second.cached(listing(), &known).labels().len(), 40);
    assert_eq!((second.images(), second.checked("md5".into()).bad.len()), (40, 1));
    fs::write(&bad, turned_jpeg()).expect("writable");
    assert!(reader().recheck(checked).is_none(), "repaired, so everything is read again");
    let whole = read(folder.path(), &options, ValidateLevel::Full, 0, &mut ()).expect("whole now");
    assert_eq!(whole.provenance.images, 41);
}
