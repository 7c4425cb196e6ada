//! Other people's weights: files of PyTorch and safetensors, under the names of torchvision, timm, kuangliu, akamaster.
//!
//! The file decides what the network's name leaves open: stem, head, shortcut, channels, classes. The preset decides the
//! preprocessing that travels with the weights from here on. A file of this program says all of that itself, and keeps it.

use super::container::{self, Contents};
use super::foreign::foreign;
pub use super::naming::Preset;
use super::naming::{is_cifar_net, wrapper};
use super::pytorch::{self, Checkpoint};
use super::{Given, Metadata, check_channels, check_values, parse};
use crate::classes::imagenet;
use crate::error::{Error, Result};
use crate::image::{Filter, Normalize, Preprocessing, Resize};
use crate::models::options::{Head, Shortcut, Stem, StrideIn};
use crate::models::{Model, ModelOptions, Spec};
use crate::tensor::{HostTensor, Tensors, check, is_counter};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What an import is told.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The network.
    pub name: String,
    /// Whose names; detected where absent.
    pub preset: Option<Preset>,
    /// Classes; read off the last layer where absent.
    pub classes: Option<usize>,
    /// Height and width of the images it takes; where absent 224, or 32 for networks with a CIFAR stem.
    pub input: Option<usize>,
    /// Where bottlenecks stride, which no weight tells; where absent torchvision's practice, the 3x3 convolution.
    pub stride_in: Option<StrideIn>,
    /// Its first layer takes blue, green and red, as Caffe's do: it is turned round, and takes red, green and blue from then on.
    pub bgr: bool,
    /// What is known of images and classes beyond the preset.
    pub given: Given,
}

/// A network from a foreign file.
#[derive(Debug)]
pub struct Imported {
    /// The network with the file's weights.
    pub model: Model,
    /// What is to travel with it.
    pub metadata: Metadata,
    /// Tensors taken.
    pub keys: usize,
    /// Whose names they had.
    pub preset: Preset,
    /// Where in the file they were (`state_dict_ema`, `module.`); empty where they were not wrapped.
    pub found_in: String,
}

/// A file's tensors, not read yet as far as that is possible.
enum Source {
    PyTorch(Checkpoint),
    /// With what travels with them, in a file that this program wrote.
    Safetensors(Tensors, Option<Box<Metadata>>),
}

impl Source {
    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
        if pytorch::is_pytorch(&bytes) {
            return Ok(Self::PyTorch(Checkpoint::read(path, bytes)?));
        }
        if let Some(error) = foreign(&path.display().to_string(), &bytes) {
            // Of the oldest pickles, which begin with anything, at least the name of what they would run can be told.
            return Err(pytorch::hostile(path, &bytes).unwrap_or(error));
        }
        let Contents { tensors, metadata, exported } = container::parse(bytes, &path.display().to_string())?;
        // A run's state is no weights file, and its tensors can be had all the same.
        let own = metadata.or(exported).and_then(|entry| parse(&path.display().to_string(), Some(entry)).ok());
        Ok(Self::Safetensors(tensors, own.map(Box::new)))
    }

    fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        match self {
            Self::PyTorch(file) => file.tensors.iter().map(|(key, view)| (key.clone(), view.shape.clone())).collect(),
            Self::Safetensors(tensors, _) => {
                tensors.iter().map(|(key, data)| (key.clone(), data.shape().to_vec())).collect()
            }
        }
    }

    fn values(&self, key: &str) -> std::result::Result<HostTensor, String> {
        match self {
            Self::PyTorch(file) => file.values(&file.tensors[key]),
            Self::Safetensors(tensors, _) => Ok(tensors[key].clone()),
        }
    }

    fn own(&self) -> Option<&Metadata> {
        match self {
            Self::Safetensors(_, own) => own.as_deref(),
            Self::PyTorch(_) => None,
        }
    }
}

/// Reads `path` as the network that `options` names.
///
/// # Errors
/// A file that cannot be read or asks for more than tensors; keys that are missing or left over; shapes that differ.
pub fn import(path: &Path, options: &ImportOptions) -> Result<Imported> {
    let file = path.display().to_string();
    // The name comes first: a slip in it should not wait for a large file.
    let named = Spec::resolve(&ModelOptions { name: options.name.clone(), ..ModelOptions::default() })?;
    let source = Source::read(path)?;
    let shapes = source.shapes();
    let keys: BTreeSet<String> = shapes.keys().cloned().collect();
    let prefix = wrapper(&keys);
    let inner: BTreeSet<String> = keys.iter().filter_map(|key| key.strip_prefix(&prefix)).map(String::from).collect();
    let preset = options.preset.unwrap_or_else(|| Preset::detect(&inner, &named));
    // Ours → theirs.
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for key in keys.iter().filter(|key| !is_counter(key)) {
        let name = preset.ours(key.strip_prefix(&prefix).unwrap_or(key));
        if let Some(other) = names.insert(name.clone(), key) {
            return Err(Error::weights(format!("{file}: {other} and {key} both stand for {name}"))
                .with_hint("save the file again without the one that the network does not use"));
        }
    }
    let shape = |name: &str| names.get(name).map(|key| &shapes[*key]);
    // What a file of ours knows of itself, unless another's practice is asked for.
    let own = source.own().filter(|_| options.preset.is_none());
    let spec = match own {
        Some(own) if own.model.name == named.name => resolve(own.model.clone(), options)?,
        // Of equal tensors another network would be made: plain-20 has those of resnet-20.
        Some(own) => {
            return Err(Error::weights(format!("{file} says that it holds {}, not {}", own.model.name, named.name))
                .with_hint(format!("--as {} takes it as it is", own.model.name)));
        }
        None => spec(&named, options, &shape, &|name| names.contains_key(name))?,
    };
    check_spec(&spec, &file)?;
    let listed = spec.graph().tensors();
    let wanted: BTreeMap<&str, &Vec<usize>> = listed.iter().map(|(name, shape)| (name.as_str(), shape)).collect();
    // What has no place here keeps the name that the file gives it.
    let place = |(name, key): (&String, &&str)| match wanted.get(name.as_str()) {
        Some(shape) if same_values(shape, &shapes[*key]) => (name.clone(), (*shape).clone()),
        Some(_) => (name.clone(), shapes[*key].clone()),
        None => ((*key).to_owned(), shapes[*key].clone()),
    };
    let found: BTreeMap<String, Vec<usize>> = names.iter().map(place).collect();
    // Before any values are read: a file that does not fit may claim to be of any size.
    check(&listed, &found, &file, &spec.name)?;
    let mut tensors = Tensors::new();
    for (name, key) in &names {
        let values = source.values(key).map_err(|why| Error::weights(format!("{file}: {key}: {why}")))?;
        check_values(values.values(), &file, key)?;
        tensors.insert(name.clone(), HostTensor::new(wanted[name.as_str()].clone(), values.into_values()));
    }
    if options.bgr {
        turn_round(&mut tensors, &spec, &file)?;
    }
    let mut found_in = match &source {
        Source::PyTorch(file) => file.found_in.clone(),
        Source::Safetensors(..) => Vec::new(),
    };
    found_in.extend((!prefix.is_empty()).then(|| prefix.clone()));
    let fits = |own: &&Metadata| own.preprocessing.channels == spec.input[2] && own.classes.len() == spec.classes;
    let metadata = match own.filter(fits) {
        Some(own) => {
            let (side, was) = (spec.input[0], &own.preprocessing);
            let preprocessing = was.at(side).map_err(|error| error.with_hint("leave --input away"))?;
            // The window keeps its share of the image.
            let scale = was.scale.map(|scale| (scale * side).div_ceil(was.height));
            Metadata { model: spec.options(), preprocessing: Preprocessing { scale, ..preprocessing }, ..own.clone() }
        }
        None => Metadata {
            model: spec.options(),
            preprocessing: preprocessing(&spec, preset),
            classes: classes(&spec, preset),
            recipe: None,
            step: 0,
            trained_on: None,
        },
    };
    let metadata = metadata.with(&options.given)?;
    Ok(Imported {
        keys: tensors.len(),
        model: Model::from_file(spec, tensors, &file)?,
        metadata,
        preset,
        found_in: found_in.join(", "),
    })
}

/// The first convolution's filters, `[k, 3, kh, kw]`, for channels in the opposite order.
fn turn_round(tensors: &mut Tensors, spec: &Spec, file: &str) -> Result<()> {
    if spec.input[2] != 3 {
        return Err(Error::usage(format!("{file} takes images of one channel, which have no order")));
    }
    let name = if tensors.contains_key("conv1.weight") { "conv1.weight" } else { "features.0.weight" };
    let first = tensors.get_mut(name).expect("every network begins with a convolution of either name");
    let (shape, values) = (first.shape().to_vec(), first.values());
    let filter = shape[1..].iter().product::<usize>();
    let turned = values.chunks_exact(filter).flat_map(|filter| filter.chunks_exact(filter.len() / 3).rev().flatten());
    *first = HostTensor::new(shape, turned.copied().collect());
    Ok(())
}

/// Whether there is anything here to do with such a network.
fn check_spec(spec: &Spec, file: &str) -> Result<()> {
    if spec.classes < 2 {
        return Err(Error::weights(format!("{file}: its last layer has one output, which tells no classes apart"))
            .with_hint("a sigmoid's network has to be made one of two classes, with 0 as the other's output"));
    }
    check_channels(spec, file)
}

/// A convolution over the whole map is a fully connected layer: `[k, c, h, w]` holds what `[k, c·h·w]` holds.
fn same_values(wanted: &[usize], found: &[usize]) -> bool {
    let ([k, c], [fk, rest @ ..]) = (wanted, found) else { return false };
    found.len() == 4 && k == fk && rest.iter().product::<usize>() == *c
}

/// The network of `model`, with what the user says of it.
fn resolve(model: ModelOptions, options: &ImportOptions) -> Result<Spec> {
    Spec::resolve(&ModelOptions {
        input: options.input.or(model.input),
        classes: options.classes.or(model.classes),
        stride_in: options.stride_in.unwrap_or(model.stride_in),
        ..model
    })
}

/// The network, with what the file's shapes tell of it.
fn spec<'a>(
    named: &Spec,
    options: &ImportOptions,
    shape: &dyn Fn(&str) -> Option<&'a Vec<usize>>,
    has: &dyn Fn(&str) -> bool,
) -> Result<Spec> {
    let vgg = named.family == "vgg";
    let first = shape(if vgg { "features.0.weight" } else { "conv1.weight" });
    let head = ["fc.weight", "classifier.6.weight", "classifier.0.weight"].into_iter().find_map(shape);
    // Basic blocks of stage 1 keep their shape: a projection there is option C, as is one in any second block.
    let everywhere =
        has("layer1.1.downsample.0.weight") || (has("layer1.0.downsample.0.weight") && !has("layer1.0.conv3.weight"));
    let projects = has("layer2.0.downsample.0.weight");
    let shortcut = match named.shortcut {
        Some(_) if everywhere => Some(Shortcut::C),
        Some(_) if projects => Some(Shortcut::B),
        // Blocks that change their shape, and nothing beside them.
        Some(_) if has("layer2.0.conv1.weight") => Some(Shortcut::A),
        own => own,
    };
    let small = match vgg {
        true => has("classifier.0.weight") && !has("classifier.6.weight"),
        false => is_cifar_net(named) || first.is_some_and(|dims| dims.last() == Some(&3)),
    };
    let auto = ModelOptions::default();
    let read_off = ModelOptions {
        name: named.name.clone(),
        input: Some(if small { 32 } else { 224 }),
        channels: first.and_then(|dims| dims.get(1).copied()),
        classes: head.and_then(|dims| dims.first().copied()),
        stem: match small {
            _ if vgg || is_cifar_net(named) => auto.stem,
            true => Stem::Cifar,
            false => Stem::Imagenet,
        },
        head: if vgg && !small { Head::Imagenet } else { auto.head },
        shortcut,
        ..auto
    };
    resolve(read_off, options)
}

/// What the preset's training scripts do to images.
fn preprocessing(spec: &Spec, preset: Preset) -> Preprocessing {
    let [height, width, channels] = spec.input;
    let three = |mean: [f32; 3], std: [f32; 3]| Normalize::Channel { mean: mean.to_vec(), std: std.to_vec() };
    let imagenet = || three([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let normalize = match (channels, preset) {
        // Its script normalises CIFAR with ImageNet's constants.
        (3, Preset::CifarAkamaster) => imagenet(),
        (3, Preset::Kuangliu) => three([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
        // Small images with ImageNet's stem or classes are ImageNet's, made smaller.
        (3, Preset::Torchvision | Preset::Timm) if spec.imagenet || height > 64 || spec.classes == 1000 => imagenet(),
        (3, Preset::Torchvision | Preset::Timm) => {
            let cifar = if spec.classes == 100 { "cifar100" } else { "cifar10" };
            Normalize::known(cifar).expect("its constants are known")
        }
        (channels, _) => Normalize::Channel { mean: vec![0.5; channels], std: vec![0.5; channels] },
    };
    let filter = if preset == Preset::Timm { Filter::Bicubic } else { Filter::Bilinear };
    // 256 before 224, as both test.
    let scale = (height > 64).then_some(height * 8 / 7);
    Preprocessing { height, width, channels, scale, resize: Resize::Crop, filter, normalize }
}

/// CIFAR-10's names where the preset's weights are of CIFAR-10, ImageNet's for a thousand classes; numbers elsewhere, for
/// a file says nothing of names.
fn classes(spec: &Spec, preset: Preset) -> Vec<String> {
    match (preset, spec.classes) {
        (Preset::CifarAkamaster | Preset::Kuangliu, 10) => crate::classes::cifar::CLASSES_10.map(String::from).to_vec(),
        (Preset::Torchvision | Preset::Timm, 1000) => imagenet::names(),
        (_, n) => (0..n).map(crate::classes::numbered).collect(),
    }
}
