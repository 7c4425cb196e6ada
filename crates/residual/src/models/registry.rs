//! The names of all networks, and what each stands for.

use super::resnet::{self, ResNetConfig};
use super::vgg::{self, LayerCfg};
use crate::error::{Error, Result, nearest};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// A configuration of VGG's Table 1, with or without batch normalisation.
    Vgg {
        /// The configuration.
        layers: &'static [LayerCfg],
        /// Whether each convolution is normalised.
        norm: bool,
    },
    /// The network of the CPU speedrun, which no paper has.
    Speedrun,
    /// A residual network, or its plain baseline.
    ResNet {
        /// Blocks and widths.
        config: ResNetConfig,
        /// Without shortcuts.
        plain: bool,
        /// The CIFAR networks of §4.2: 3x3 stem, three stages, option A.
        cifar: bool,
    },
}

/// A network by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name: `vgg-d-bn`, `resnet-50`, `plain-20`.
    pub name: String,
    /// `vgg`, `resnet`, `plain` or `speedrun`.
    pub family: &'static str,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// What it stands for.
    pub architecture: Architecture,
    /// Input size in pixels where nobody says otherwise: the paper's.
    pub input: usize,
    /// Classes where nobody says otherwise: the paper's.
    pub classes: usize,
}

/// The CIFAR depths that the paper trains.
const CIFAR_DEPTHS: [usize; 6] = [20, 32, 44, 56, 110, 1202];

fn vgg_entry(letter: &str, depth: usize, layers: &'static [LayerCfg], norm: bool) -> Entry {
    let suffix = if norm { "-bn" } else { "" };
    let depth_names = [11, 13, 16, 19].contains(&depth) && matches!(letter, "a" | "b" | "d" | "e");
    Entry {
        name: format!("vgg-{letter}{suffix}"),
        family: "vgg",
        aliases: if depth_names { vec![format!("vgg{depth}{}", suffix.replace('-', "_"))] } else { Vec::new() },
        architecture: Architecture::Vgg { layers, norm },
        input: 224,
        classes: 1000,
    }
}

fn resnet_entry(depth: usize, table: ResNetConfig, plain: bool) -> Entry {
    let family = if plain { "plain" } else { "resnet" };
    let architecture = Architecture::ResNet { config: table, plain, cifar: false };
    Entry { name: format!("{family}-{depth}"), family, aliases: Vec::new(), architecture, input: 224, classes: 1000 }
}

fn cifar_entry(depth: usize, plain: bool) -> Entry {
    let family = if plain { "plain" } else { "resnet" };
    let short = format!("{family}-{depth}");
    let long = format!("{family}-cifar-{depth}");
    let known = CIFAR_DEPTHS.contains(&depth);
    let (name, aliases) = if known { (short, vec![long]) } else { (long, Vec::new()) };
    let architecture = Architecture::ResNet { config: ResNetConfig::cifar((depth - 2) / 6), plain, cifar: true };
    Entry { name, family, aliases, architecture, input: 32, classes: 10 }
}

fn speedrun_entry() -> Entry {
    let (name, family) = ("speedrun".to_owned(), "speedrun");
    Entry { name, family, aliases: Vec::new(), architecture: Architecture::Speedrun, input: 32, classes: 10 }
}

/// Every network with a name of its own: all of both papers, and the speedrun's.
pub fn registry() -> Vec<Entry> {
    let letters: [(&str, usize, &'static [LayerCfg]); 5] =
        [("a", 11, vgg::A), ("b", 13, vgg::B), ("c", 16, vgg::C), ("d", 16, vgg::D), ("e", 19, vgg::E)];
    let mut entries = Vec::new();
    for (letter, depth, layers) in letters {
        entries.push(vgg_entry(letter, depth, layers, false));
        if letter == "a" {
            entries.push(vgg_entry("a-lrn", depth, vgg::A_LRN, false));
        }
    }
    entries.extend(letters.map(|(letter, depth, layers)| vgg_entry(letter, depth, layers, true)));
    let deep = [
        (18, resnet::RESNET18),
        (34, resnet::RESNET34),
        (50, resnet::RESNET50),
        (101, resnet::RESNET101),
        (152, resnet::RESNET152),
    ];
    entries.extend(deep.map(|(depth, table)| resnet_entry(depth, table, false)));
    entries.extend(deep[..2].iter().map(|(depth, table)| resnet_entry(*depth, *table, true)));
    for plain in [false, true] {
        entries.extend(CIFAR_DEPTHS.map(|depth| cifar_entry(depth, plain)));
    }
    entries.push(speedrun_entry());
    entries
}

/// Layers of the deepest CIFAR network, 6n+2. A name in a file must not ask for memory without end: a thousand layers take 20 million
/// weights.
const DEEPEST: usize = 9998;

/// Letters and digits only, lower case: hyphens and underscores may be left out.
fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// The network called `name`, under any of its names.
///
/// # Errors
/// An unknown name (with the nearest known one), or a CIFAR depth that is not 6n+2.
pub fn find(name: &str) -> Result<Entry> {
    let typed = folded(name);
    let entries = registry();
    let matches =
        |entry: &&Entry| std::iter::once(&entry.name).chain(&entry.aliases).any(|known| folded(known) == typed);
    if let Some(entry) = entries.iter().find(matches) {
        return Ok(entry.clone());
    }
    for (prefix, plain) in [("resnetcifar", false), ("plaincifar", true)] {
        if let Some(depth) = typed.strip_prefix(prefix).and_then(|depth| depth.parse::<usize>().ok()) {
            if depth < 8 || depth % 6 != 2 {
                let message = format!("{name} cannot be built: the depth of a CIFAR network is 6n+2");
                let below = (depth.max(8) - 2) / 6 * 6 + 2;
                return Err(Error::usage(message).with_hint(format!("{below} and {} are the nearest", below + 6)));
            }
            if depth > DEEPEST {
                let message = format!("{name} cannot be built: that many layers fit into no memory");
                return Err(
                    Error::usage(message).with_hint(format!("{DEEPEST} layers are the most; the paper goes to 1202"))
                );
            }
            return Ok(cifar_entry(depth, plain));
        }
    }
    let names: Vec<&str> =
        entries.iter().flat_map(|e| std::iter::once(&e.name).chain(&e.aliases)).map(String::as_str).collect();
    let error = Error::usage(format!("there is no network called {name}"));
    Err(match nearest(name, names) {
        Some(near) => error.with_hint(format!("did you mean {near}? `residual models` lists all of them")),
        None => error.with_hint("`residual models` lists all of them"),
    })
}
