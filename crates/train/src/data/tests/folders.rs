//! Folders of images, opened as users open them.

use super::*;

#[test]
fn a_flat_folder_is_split_by_file_names_and_keeps_its_splits_when_it_grows() {
    let folder = tempfile::tempdir().expect("a folder");
    class(folder.path(), "dog", 60, 50);
    class(folder.path(), "cat", 60, 200);
    let data = open(&options(folder.path()), &mut ()).expect("whole");
    assert_eq!(data.classes, ["cat", "dog"]);
    assert_eq!((data.train.height(), data.train.width(), data.train.channels()), (224, 224, 3));
    let counts = [data.train.len(), data.validation.len(), data.test.len()];
    assert_eq!(counts.iter().sum::<usize>(), 120);
    assert!((84..=108).contains(&counts[0]) && counts[1] >= 4 && counts[2] >= 4, "{counts:?}");
    let i = (0..data.test.len()).find(|&i| data.test.name(i).contains("cat-")).expect("a cat");
    assert_eq!((data.test.label(i), data.test.pixels(i).expect("in memory")[0]), (0, 200));
    assert!(!data.has_test_split, "a part is held out instead");
    let all = data.split(Split::All).expect("one size");
    assert_eq!((all.len(), all.histogram(2)), (120, vec![60, 60]));
    class(folder.path(), "ant", 30, 100);
    let grown = open(&options(folder.path()), &mut ()).expect("whole");
    let names = |p: &Images| (0..p.len()).map(|i| p.name(i)).collect::<std::collections::BTreeSet<_>>();
    assert!(names(&data.test).is_subset(&names(&grown.test)));
    let all = open(&DataOptions { validation: Some(0), ..options(folder.path()) }, &mut ()).expect("whole");
    assert_eq!((all.validation.len(), all.train.len() + all.test.len()), (0, 150));
}

#[test]
fn images_beyond_the_memory_budget_are_decoded_on_demand_to_the_same_pixels() {
    let folder = tempfile::tempdir().expect("a folder");
    class(folder.path(), "a", 20, 50);
    class(folder.path(), "b", 20, 200);
    let options = DataOptions { input: Some(16), ..options(folder.path()) };
    let [kept, on_disk] = [MEMORY_BUDGET, 100].map(|budget| {
        let parts = folder::read(folder.path(), &options, ValidateLevel::Headers, budget, &mut ()).expect("whole");
        images(parts.train, &options, budget)
    });
    assert!(kept.in_memory() && !on_disk.in_memory());
    assert_eq!((kept.len(), kept.label(9), kept.name(9)), (on_disk.len(), on_disk.label(9), on_disk.name(9)));
    let normalize = channel_statistics(&kept, &mut ()).expect("images");
    assert_eq!(normalize, channel_statistics(&on_disk, &mut ()).expect("images"));
    let normalizer = std::sync::Arc::new(Normalizer::new(&normalize, 16, 16, 3).expect("sizes agree"));
    let options =
        LoaderOptions { batch: 8, seed: 1, drop_last: true, first_step: 0, repeats: RepeatedAugmentation::default() };
    let [mut a, mut b] = [&kept, &on_disk].map(|images| {
        let images = std::sync::Arc::new(images.clone());
        Loader::new(images, std::sync::Arc::clone(&normalizer), Augment::default(), options).expect("threads")
    });
    for _ in 0..5 {
        assert_eq!(a.next().expect("in memory"), b.next().expect("on disk"));
    }
    // If an image is removed later, the loader fails with its name and does not panic.
    (0..on_disk.len()).for_each(|i| fs::remove_file(on_disk.name(i)).expect("removable"));
    let error = (0..20).find_map(|_| b.next().err()).expect("nothing to decode");
    assert!(error.to_string().starts_with("cannot read "), "{error}");
    assert!(b.next().is_err());
}

#[test]
fn with_skip_bad_an_image_damaged_in_its_middle_is_left_out_before_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    class(folder.path(), "a", 30, 10);
    class(folder.path(), "b", 30, 20);
    let bad = fs::read_dir(folder.path().join("b")).expect("readable").next().expect("one").expect("one").path();
    let mut bytes = fs::read(&bad).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&bad, bytes).expect("writable");
    // Of images that stay on disk only headers and ends are checked.
    let on_disk = DataOptions { originals: true, ..options(folder.path()) };
    assert_eq!(open(&on_disk, &mut ()).expect("not seen").provenance.images, 60);
    let data = open(&DataOptions { skip_bad: true, ..on_disk }, &mut ()).expect("the rest is whole");
    assert_eq!(data.provenance.images, 59);
    assert!(data.warnings[0].starts_with("left out 1 of 60 images"), "{:?}", data.warnings);
}

#[test]
fn train_val_and_test_folders_are_the_splits_and_classes_must_agree() {
    let folder = tempfile::tempdir().expect("a folder");
    for (split, n) in [("train", 5), ("val", 3), ("test", 2)] {
        class(&folder.path().join(split), "a", n, 10);
        class(&folder.path().join(split), "b", n, 20);
    }
    let data =
        open(&DataOptions { input: Some(8), channels: Some(1), ..options(folder.path()) }, &mut ()).expect("whole");
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (10, 6, 4));
    assert!(data.has_test_split);
    assert_eq!((data.test.label(3), data.test.pixels(3).expect("in memory").len()), (1, 64));
    let original = data.test.original(3).expect("on disk");
    assert_eq!((original.height, original.width), (9, 12));
    class(&folder.path().join("test"), "c", 1, 10);
    let stranger = folder.path().join("test").join("c");
    let expected = format!("{} is a class that the training images do not have", stranger.display());
    assert_eq!(refused(folder.path()).to_string(), expected);
}

#[test]
fn an_imagenet_folder_without_test_images_is_tested_on_val() {
    let folder = tempfile::tempdir().expect("a folder");
    for (split, n) in [("train", 20), ("val", 3)] {
        class(&folder.path().join(split), "n01", n, 10);
        class(&folder.path().join(split), "n02", n, 20);
    }
    let data = open(&options(folder.path()), &mut ()).expect("whole");
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (36, 4, 6));
    assert!(
        data.warnings[0].ends_with("val is used for testing, and a tenth of train for validation"),
        "{:?}",
        data.warnings
    );
}

#[test]
fn an_image_that_does_not_decode_fails_unless_bad_ones_are_skipped() {
    let folder = tempfile::tempdir().expect("a folder");
    class(folder.path(), "a", 30, 10);
    class(folder.path(), "b", 30, 20);
    let bad = folder.path().join("b").join("broken.jpg");
    fs::write(&bad, &turned_jpeg()[..200]).expect("writable");
    let error = refused(folder.path());
    assert!(error.to_string().starts_with(&format!("{} does not decode", bad.display())), "{error}");
    assert!(error.hint().expect("a hint").contains("--skip-bad"));
    let data = open(&DataOptions { skip_bad: true, ..options(folder.path()) }, &mut ()).expect("the rest is whole");
    assert_eq!((data.train.len() + data.validation.len() + data.test.len(), data.provenance.images), (60, 60));
    assert!(data.warnings[0].starts_with("left out 1 of 61 images"), "{:?}", data.warnings);
    fs::write(folder.path().join("a").join("empty.png"), []).expect("writable");
    assert!(refused(folder.path()).to_string().starts_with("2 of 62 images do not decode: "));
    assert!(check(folder.path(), &mut ()).is_err());
}

#[test]
fn classes_with_too_few_images_are_errors_or_warnings() {
    let folder = tempfile::tempdir().expect("a folder");
    class(folder.path(), "only", 5, 10);
    let error = refused(folder.path()).to_string();
    assert_eq!(error, format!("{} has one class, \"only\"", folder.path().display()));
    fs::create_dir(folder.path().join("void")).expect("writable");
    fs::write(folder.path().join("void").join("notes.txt"), "").expect("writable");
    let error = refused(folder.path()).to_string();
    assert_eq!(error, format!("class folder \"void\" in {} has no images", folder.path().display()));
    let folder = tempfile::tempdir().expect("a folder");
    for split in ["train", "test"] {
        class(&folder.path().join(split), "common", 50, 10);
        class(&folder.path().join(split), "rare", 2, 20);
        class(&folder.path().join(split), "single", 1, 30);
    }
    let data = open(&options(folder.path()), &mut ()).expect("whole");
    assert_eq!(data.warnings.len(), 2, "{:?}", data.warnings);
    assert!(data.warnings[0].starts_with("class \"rare\" has 2 training images and \"common\" has 50"));
    assert_eq!(data.warnings[1], "class \"single\" has one training image");
}

#[test]
fn square_images_of_one_size_keep_their_size() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a", "b"] {
        fs::create_dir(folder.path().join(name)).expect("writable");
        for i in 0..20 {
            let bytes = png(&[9; 40 * 40 * 3], 40, 40, ExtendedColorType::Rgb8);
            fs::write(folder.path().join(name).join(format!("{i}.png")), bytes).expect("writable");
        }
    }
    let data = open(&options(folder.path()), &mut ()).expect("whole");
    assert_eq!((data.train.height(), data.train.width(), data.train.channels()), (40, 40, 3));
}

#[test]
#[ignore = "needs test data"]
fn real_jpegs_of_every_kind_decode_and_are_resized() {
    let folder = std::env::var_os("RESIDUAL_TEST_DATA").expect("$RESIDUAL_TEST_DATA is a folder");
    let folder = PathBuf::from(folder).join("imagenet-sample");
    let preprocessing = Preprocessing {
        height: 64,
        width: 64,
        channels: 3,
        scale: None,
        resize: Resize::Crop,
        filter: Filter::Bilinear,
        normalize: Normalize::known("imagenet").expect("known"),
    };
    let mut decoded = 0;
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "JPEG") {
            let image = Image::open(&path).expect("a real image");
            assert_eq!(preprocessing.fit(&image).len(), 64 * 64 * 3, "{}", path.display());
            decoded += 1;
        }
    }
    assert!(decoded >= 60, "{decoded}");
}
