//! Files of PyTorch, written here byte by byte in both formats, and a few that PyTorch wrote: what is a set of tensors is
//! read, anything else is refused with a sentence, and nothing in it is ever run.

use residual::models::options::{Shortcut, Stem, StrideIn};
use residual::models::{Model, ModelOptions, Spec};
use residual::tensor::{HostTensor, Tensors};
use residual::weights::import::{ImportOptions, Imported, Preset, import};
use residual::weights::{self, Given, Metadata, container};
use residual_train::data::{Filter, Normalize, Preprocessing, Resize};
use residual_train::{Error, Result};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

const NAME: &str = "resnet-cifar-8";
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

fn network() -> Tensors {
    let options = ModelOptions { name: NAME.into(), classes: Some(3), ..ModelOptions::default() };
    let spec = Spec::resolve(&options).expect("a small network");
    Model::initialised(spec, 5).tensors().clone()
}

/// The tensors under akamaster's names, as DataParallel saves them.
fn akamaster(tensors: &Tensors) -> Tensors {
    tensors.iter().map(|(key, data)| (format!("module.{}", key.replace("fc.", "linear.")), data.clone())).collect()
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn number(out: &mut Vec<u8>, n: usize) {
    out.push(b'J');
    out.extend((n as u32).to_le_bytes());
}

fn tuple(out: &mut Vec<u8>, numbers: &[usize]) {
    out.push(b'(');
    numbers.iter().for_each(|&n| number(out, n));
    out.push(b't');
}

/// `{"state_dict": OrderedDict(…)}`; storages are called by the numbers of their tensors.
fn pickle(tensors: &Tensors) -> Vec<u8> {
    pickle_of(tensors, "FloatStorage")
}

/// The same, of numbers of one type.
fn pickle_of(tensors: &Tensors, storage: &str) -> Vec<u8> {
    let mut out = b"\x80\x02}".to_vec();
    text(&mut out, "state_dict");
    out.extend(b"ccollections\nOrderedDict\n)R(");
    for (i, (key, data)) in tensors.iter().enumerate() {
        text(&mut out, key);
        tensor(&mut out, i, data, storage);
    }
    out.extend(b"us.");
    out
}

fn tensor(out: &mut Vec<u8>, i: usize, data: &HostTensor, storage: &str) {
    let shape = data.shape().to_vec();
    let strides: Vec<usize> = (0..shape.len()).map(|d| shape[d + 1..].iter().product()).collect();
    out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    text(out, "storage");
    out.extend(format!("ctorch\n{storage}\n").as_bytes());
    text(out, &i.to_string());
    text(out, "cpu");
    number(out, shape.iter().product());
    out.extend(b"NtQ");
    number(out, 0);
    tuple(out, &shape);
    tuple(out, &strides);
    out.extend(b"\x89NtR");
}

/// As Python 2 saves an OrderedDict: `OrderedDict([[key, tensor], …])`.
fn pickle_of_python_2(tensors: &Tensors) -> Vec<u8> {
    let mut out = b"\x80\x02ccollections\nOrderedDict\n(](".to_vec();
    for (i, (key, data)) in tensors.iter().enumerate() {
        out.extend(b"](");
        text(&mut out, key);
        tensor(&mut out, i, data, "FloatStorage");
        out.push(b'e');
    }
    out.extend(b"etR.");
    out
}

fn legacy(pickle: &[u8], tensors: &Tensors) -> Vec<u8> {
    let mut out = [MAGIC, b"\x80\x02M\xe9\x03.\x80\x02}."].concat();
    out.extend(pickle);
    out.extend(b"\x80\x02](");
    (0..tensors.len()).for_each(|i| text(&mut out, &i.to_string()));
    out.extend(b"e.");
    for data in tensors.values() {
        out.extend((data.values().len() as u64).to_le_bytes());
        out.extend(bytemuck::cast_slice::<f32, u8>(data.values()));
    }
    out
}

fn zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut out);
    for (name, bytes) in entries {
        let (mut entry, config) = archive.new_file(name).start().expect("a name");
        let mut writer = config.wrap(&mut entry);
        writer.write_all(bytes).expect("memory");
        let (_, descriptor) = writer.finish().expect("memory");
        entry.finish(descriptor).expect("memory");
    }
    archive.finish().expect("memory");
    out
}

fn zipped(pickle: Vec<u8>, tensors: &Tensors) -> Vec<(String, Vec<u8>)> {
    let storage =
        |(i, data): (usize, &HostTensor)| (format!("net/data/{i}"), bytemuck::cast_slice(data.values()).to_vec());
    let mut entries = vec![("net/data.pkl".to_owned(), pickle), ("net/byteorder".to_owned(), b"little".to_vec())];
    entries.extend(tensors.values().enumerate().map(storage));
    entries
}

fn read(bytes: &[u8]) -> Result<Imported> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("theirs.pt");
    std::fs::write(&path, bytes).expect("a folder of ours");
    import(&path, &ImportOptions { name: NAME.into(), ..ImportOptions::default() })
}

fn refused(bytes: &[u8]) -> Error {
    let error = read(bytes).expect_err("no good");
    assert!(error.to_string().contains("theirs.pt"), "the file is named: {error}");
    error
}

#[test]
fn both_formats_give_the_weights_to_the_bit_and_name_their_maker() {
    let ours = network();
    let theirs = akamaster(&ours);
    for bytes in [legacy(&pickle(&theirs), &theirs), zip(&zipped(pickle(&theirs), &theirs))] {
        let imported = read(&bytes).expect("a file as torch.save writes it");
        assert_eq!(imported.preset, Preset::CifarAkamaster);
        assert_eq!(imported.found_in, "state_dict, module.");
        assert_eq!((imported.model.spec.classes, imported.keys), (3, ours.len()));
        assert_eq!(*imported.model.tensors(), ours);
    }
}

#[test]
fn files_that_pytorch_wrote_are_read_to_the_bit_however_their_tensors_lie_in_their_storage() {
    // fixtures/make.py says what is in them.
    let stored = |i: usize| ((7919 * i % 251) as f32 + 1.0) / 256.0;
    let files = [("ema-f16.pt", "model_ema, state_dict, module."), ("nested-bf16-legacy.th", "state_dict")];
    for (name, place) in files {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        let options = ImportOptions { name: NAME.into(), ..ImportOptions::default() };
        let imported = import(&path, &options).expect("a file of torch.save");
        assert_eq!((imported.found_in.as_str(), imported.preset), (place, Preset::CifarAkamaster));
        let ours = imported.model.tensors();
        let theirs: BTreeMap<String, &HostTensor> =
            ours.iter().map(|(key, data)| (key.replace("fc.", "linear."), data)).collect();
        for (i, (key, data)) in theirs.into_iter().enumerate() {
            let shape = data.shape().to_vec();
            let steps: Vec<usize> = match shape.len() {
                1 => vec![2],
                _ => (0..shape.len()).map(|axis| shape[..axis].iter().product()).collect(),
            };
            let place = |mut at: usize| {
                let mut place = 11 * i;
                for (size, step) in shape.iter().zip(&steps).rev() {
                    place += at % size * step;
                    at /= size;
                }
                place
            };
            let expected: Vec<f32> = (0..shape.iter().product()).map(|at| stored(place(at))).collect();
            assert_eq!(data.values(), &expected[..], "{name}: {key}");
        }
    }
}

#[test]
fn what_python_2_saved_is_read() {
    let ours = network();
    let theirs = akamaster(&ours);
    let imported = read(&legacy(&pickle_of_python_2(&theirs), &theirs)).expect("a file of Python 2");
    assert_eq!(*imported.model.tensors(), ours);
}

#[test]
fn filters_of_blue_green_and_red_are_turned_round() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("theirs.pt");
    let theirs = akamaster(&network());
    std::fs::write(&path, legacy(&pickle(&theirs), &theirs)).expect("a folder of ours");
    let options = ImportOptions { name: NAME.into(), bgr: true, ..ImportOptions::default() };
    let turned = import(&path, &options).expect("a network of theirs").model.tensors().clone();
    let first = |tensors: &Tensors| tensors["conv1.weight"].values().to_vec();
    for (ours, theirs) in first(&turned).chunks_exact(27).zip(first(&network()).chunks_exact(27)) {
        assert_eq!([&ours[..9], &ours[9..18], &ours[18..]], [&theirs[18..], &theirs[9..18], &theirs[..9]]);
    }
    assert_eq!(turned["layer1.0.conv1.weight"], network()["layer1.0.conv1.weight"]);
}

#[test]
fn two_tensors_for_one_layer_are_refused_by_name() {
    let mut theirs = akamaster(&network());
    for part in ["weight", "bias"] {
        let head = theirs[&format!("module.linear.{part}")].clone();
        theirs.insert(format!("module.fc.{part}"), head);
    }
    let message = refused(&legacy(&pickle(&theirs), &theirs)).to_string();
    assert!(message.contains("module.fc.bias and module.linear.bias both stand for fc.bias"), "{message}");
}

#[test]
fn a_network_of_one_output_tells_no_classes_apart_and_a_variance_is_not_negative() {
    let mut theirs = akamaster(&network());
    theirs.insert("module.linear.weight".into(), HostTensor::new([1, 64], vec![0.5f32; 64]));
    theirs.insert("module.linear.bias".into(), HostTensor::new([1], vec![0.5f32]));
    let message = refused(&legacy(&pickle(&theirs), &theirs)).to_string();
    assert!(message.contains("its last layer has one output"), "{message}");
    let mut theirs = akamaster(&network());
    theirs.insert("module.bn1.running_var".into(), HostTensor::new([16], vec![-0.5f32; 16]));
    let message = refused(&legacy(&pickle(&theirs), &theirs)).to_string();
    assert!(message.contains("module.bn1.running_var holds -0.5"), "{message}");
}

#[test]
fn a_file_of_ours_keeps_what_it_knows_at_another_size_and_under_other_names() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ours, theirs) = (folder.path().join("ours.safetensors"), folder.path().join("theirs.safetensors"));
    let options = ModelOptions { name: NAME.into(), classes: Some(3), ..ModelOptions::default() };
    let model = Model::initialised(Spec::resolve(&options).expect("a small network"), 5);
    let normalize = Normalize::Channel { mean: vec![0.3; 3], std: vec![0.2; 3] };
    let (resize, filter) = (Resize::Crop, Filter::Bicubic);
    let preprocessing =
        Preprocessing { height: 32, width: 32, channels: 3, scale: Some(40), resize, filter, normalize };
    let classes = ["cat", "dog", "eel"].map(String::from).to_vec();
    let metadata =
        Metadata { model: model.spec.options(), preprocessing, classes, recipe: None, step: 7, trained_on: None };
    weights::save(&ours, &model, &metadata).expect("a folder of ours");
    let keys = residual::export::safetensors(&theirs, &model, &metadata, Preset::CifarAkamaster).expect("its network");
    assert!(keys > 0);
    let once = std::fs::read(&theirs).expect("just written");
    residual::export::safetensors(&theirs, &model, &metadata, Preset::CifarAkamaster).expect("its network");
    assert_eq!(std::fs::read(&theirs).expect("just written"), once, "the same bytes every time");
    let header = String::from_utf8_lossy(&once[8..4096]).into_owned();
    assert!(header.contains(r#""format":"pt""#), "{header}");
    let imported = |path: &Path, input| {
        let options = ImportOptions { name: NAME.into(), input, ..ImportOptions::default() };
        import(path, &options).expect("a file of ours").metadata
    };
    for path in [&ours, &theirs] {
        assert_eq!(imported(path, None), metadata);
        let larger = imported(path, Some(48));
        assert_eq!((larger.preprocessing.height, larger.preprocessing.scale), (48, Some(60)));
        assert_eq!(
            (larger.preprocessing.normalize, larger.classes),
            (metadata.preprocessing.normalize.clone(), metadata.classes.clone())
        );
    }
    // The plain twin has tensors of the same names and shapes.
    let options = ImportOptions { name: "plain-cifar-8".into(), ..ImportOptions::default() };
    let error = import(&ours, &options).expect_err("another network");
    assert!(error.to_string().contains("says that it holds resnet-cifar-8, not plain-cifar-8"), "{error}");
    // From memory, as from the file.
    let bytes = std::fs::read(&ours).expect("just written");
    assert_eq!(weights::from_bytes(bytes, "ours").expect("whole").1, metadata);
}

#[test]
fn doubles_are_rounded_to_floats() {
    let ours = network();
    let theirs = akamaster(&ours);
    let mut entries = zipped(pickle_of(&theirs, "DoubleStorage"), &theirs);
    for ((_, bytes), data) in entries[2..].iter_mut().zip(theirs.values()) {
        let floats = data.values();
        // A little less than half a step of a float away.
        *bytes = floats.iter().flat_map(|&v| (f64::from(v) * (1.0 + 2e-8)).to_le_bytes()).collect();
    }
    assert_eq!(*read(&zip(&entries)).expect("a file of doubles").model.tensors(), ours);
}

#[test]
fn keys_that_are_missing_left_over_or_of_another_shape_are_named() {
    let mut theirs = akamaster(&network());
    let taken = theirs.remove("module.bn1.weight").expect("it has one");
    let message = refused(&legacy(&pickle(&theirs), &theirs)).to_string();
    assert!(message.contains("missing: bn1.weight"), "{message}");
    theirs.insert("module.bn1.weight".into(), taken.clone());
    theirs.insert("module.bn9.weight".into(), taken.clone());
    let message = refused(&legacy(&pickle(&theirs), &theirs)).to_string();
    assert!(message.contains("unexpected: module.bn9.weight"), "{message}");
    theirs.remove("module.bn9.weight");
    let counted = theirs.clone().into_iter().chain([("module.bn1.num_batches_tracked".to_owned(), taken.clone())]);
    let counted: Tensors = counted.collect();
    assert!(read(&legacy(&pickle(&counted), &counted)).is_ok(), "a counter is no weight");
    theirs.insert("module.conv1.weight".into(), taken);
    let message = refused(&legacy(&pickle(&theirs), &theirs)).to_string();
    assert!(message.contains("[16] in the file") && message.contains("[16, 3, 3, 3]"), "{message}");
}

#[test]
fn whatever_would_run_is_refused_by_name_in_every_format() {
    let programs: [(&[u8], &str); 4] = [
        (b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.", "posix.system"),
        (b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.", "builtins.eval"),
        (b"\x80\x02}X\x01\x00\x00\x00acposix\nsystem\n(ctorch._utils\n_rebuild_tensor_v2\n)RtRs.", "posix.system"),
        (b"\x80\x02ctorchvision.models.resnet\nResNet\n)\x81.", "torchvision.models.resnet.ResNet"),
    ];
    for (program, name) in programs {
        let entries = [("net/data.pkl".to_owned(), program.to_vec())];
        for bytes in [program.to_vec(), legacy(program, &Tensors::new()), zip(&entries)] {
            let message = refused(&bytes).to_string();
            assert!(message.contains(&format!("it needs {name}")), "{message}");
        }
    }
    // Protocol 0 has no mark of its own at the beginning.
    let error = refused(b"cos\nsystem\n(S'true'\ntR.");
    assert!(error.to_string().contains("it needs os.system"), "{error}");
}

#[test]
fn other_kinds_of_files_are_told_apart() {
    let hint = |bytes: &[u8]| {
        let error = refused(bytes);
        format!("{error}: {}", error.hint().unwrap_or_default())
    };
    assert!(hint(b"").contains("is empty"));
    assert!(hint(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n").contains("`git lfs pull`"));
    let scripted = zip(&[("net/code/__torch__/net.py".to_owned(), b"def forward".to_vec())]);
    assert!(hint(&scripted).contains("TorchScript") && hint(&scripted).contains("torch.jit.load(FILE).state_dict()"));
    // A file of PyTorch where one of ours is wanted.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("net.pth");
    let theirs = akamaster(&network());
    std::fs::write(&path, legacy(&pickle(&theirs), &theirs)).expect("a folder of ours");
    let error = weights::load(&path).expect_err("not imported yet");
    assert!(error.to_string().contains("is a file of PyTorch"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("residual import")));
}

#[test]
fn safetensors_whose_header_s_length_looks_like_a_pickle_are_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("net.safetensors");
    container::write(&path, &network(), serde_json::Map::new()).expect("a folder of ours");
    let whole = std::fs::read(&path).expect("just written");
    let length = u64::from_le_bytes(*whole.first_chunk().expect("a header"));
    // Blanks behind the header, until its length begins with a pickle's first byte.
    let blanks = (0x80 - length as i64).rem_euclid(256) as usize;
    let (header, data) = whole[8..].split_at(length as usize);
    let padded = [&(length + blanks as u64).to_le_bytes(), header, &vec![b' '; blanks], data].concat();
    assert_eq!(padded[0], 0x80);
    assert_eq!(*read(&padded).expect("safetensors").model.tensors(), network());
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    let mut theirs = akamaster(&network());
    theirs.insert("module.bn1.bias".into(), HostTensor::new([16], vec![f32::NAN; 16]));
    let message = refused(&legacy(&pickle(&theirs), &theirs)).to_string();
    assert!(message.contains("module.bn1.bias holds NaN"), "{message}");
}

#[test]
fn what_the_user_knows_better_than_the_preset_travels_with_the_weights() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("theirs.pt");
    let theirs = akamaster(&network());
    std::fs::write(&path, legacy(&pickle(&theirs), &theirs)).expect("a folder of ours");
    let names = ["cat", "dog", "eel"].map(String::from).to_vec();
    let given = Given { scale: Some(48), std: Some(vec![0.25; 3]), classes: Some(names.clone()), ..Given::default() };
    let options = ImportOptions { name: NAME.into(), input: Some(40), given, ..ImportOptions::default() };
    let imported = import(&path, &options).expect("a network of theirs");
    let images = &imported.metadata.preprocessing;
    assert_eq!((images.height, images.width, images.scale), (40, 40, Some(48)));
    assert_eq!((imported.model.spec.input, imported.metadata.classes), ([40, 40, 3], names));
}

#[test]
fn what_no_weight_tells_comes_from_our_own_file_or_from_the_user() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (ours, theirs) = (folder.path().join("ours.safetensors"), folder.path().join("theirs.safetensors"));
    let options = ModelOptions {
        name: "resnet-50".into(),
        input: Some(64),
        stem: Stem::Imagenet,
        stride_in: StrideIn::Conv1x1,
        ..ModelOptions::default()
    };
    let model = Model::initialised(Spec::resolve(&options).expect("a network of the paper"), 0);
    let classes = (0..1000).map(|class| class.to_string()).collect();
    let pixels = Normalize::Channel { mean: vec![0.5; 3], std: vec![0.5; 3] };
    let preprocessing = Preprocessing {
        height: 64,
        width: 64,
        channels: 3,
        scale: None,
        resize: Resize::Crop,
        filter: Filter::Bilinear,
        normalize: pixels,
    };
    let model_options = model.spec.options();
    let metadata = Metadata { model: model_options, preprocessing, classes, recipe: None, step: 0, trained_on: None };
    weights::save(&ours, &model, &metadata).expect("a folder of ours");
    container::write(&theirs, &model.tensors().clone(), serde_json::Map::new()).expect("a folder of ours");
    let strides = |path: &Path, stride_in| {
        let options = ImportOptions { name: "resnet-50".into(), stride_in, ..ImportOptions::default() };
        import(path, &options).expect("a ResNet-50").model.spec.stride_in
    };
    assert_eq!(strides(&ours, None), StrideIn::Conv1x1);
    assert_eq!(strides(&theirs, None), StrideIn::Conv3x3, "torchvision's");
    assert_eq!(strides(&theirs, Some(StrideIn::Conv1x1)), StrideIn::Conv1x1);
}

#[test]
fn blocks_without_projections_have_shortcuts_without_parameters() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("theirs.safetensors");
    let options = ModelOptions { name: "resnet-18".into(), shortcut: Some(Shortcut::A), ..ModelOptions::default() };
    let model = Model::initialised(Spec::resolve(&options).expect("a network of Table 2"), 0);
    container::write(&path, &model.tensors().clone(), serde_json::Map::new()).expect("a folder of ours");
    let options = ImportOptions { name: "resnet-18".into(), ..ImportOptions::default() };
    let imported = import(&path, &options).expect("shortcuts A");
    assert_eq!(imported.model.spec.shortcut, Some(Shortcut::A));
}

#[test]
fn a_small_file_cannot_ask_for_much_memory() {
    // Text that is remembered and encoded again and again.
    let mut bomb = b"\x80\x02c_codecs\nencode\nq\x00".to_vec();
    text(&mut bomb, &"x".repeat(1000));
    bomb.extend(b"q\x01");
    bomb.extend(b"h\x00h\x01\x85R0".repeat(1000));
    bomb.push(b'.');
    assert!(refused(&bomb).to_string().contains("more text than it has"));
    // A tensor of 2^60 values of one stored number, by strides of zero.
    let mut theirs = akamaster(&network());
    theirs.retain(|key, _| key != "module.bn1.bias");
    let huge = HostTensor::new([1 << 16], vec![1.0f32; 1 << 16]);
    theirs.insert("module.bn1.bias".into(), huge);
    assert!(refused(&legacy(&pickle(&theirs), &theirs)).to_string().contains("[65536] in the file"));
}

#[test]
fn damaged_files_are_refused_wherever_they_end() {
    let theirs = akamaster(&network());
    let whole = legacy(&pickle(&theirs), &theirs);
    for length in [0, 1, 10, 20, 100, whole.len() / 3, whole.len() - 1] {
        refused(&whole[..length]);
    }
    let entries = zipped(pickle(&theirs), &theirs);
    let whole = zip(&entries);
    for length in [5, 100, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..length]);
    }
    let without = |name: &str| zip(&entries.iter().filter(|entry| entry.0 != name).cloned().collect::<Vec<_>>());
    assert!(refused(&without("net/data.pkl")).to_string().contains("without data.pkl"));
    assert!(refused(&without("net/data/3")).to_string().contains("storage 3 is missing"));
    let mut big = entries.clone();
    big[1].1 = b"big".to_vec();
    assert!(refused(&zip(&big)).to_string().contains("big-endian"));
    refused(b"neither of them, but long enough");
}
