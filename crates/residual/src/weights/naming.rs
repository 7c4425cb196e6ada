//! What other programs call the tensors of these networks. Our names are torchvision's.

use crate::models::{Architecture, Spec};
use std::collections::BTreeSet;
use std::str::FromStr;

/// Whose names and whose preprocessing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// pytorch/vision: ImageNet.
    Torchvision,
    /// huggingface/pytorch-image-models: ResNets as torchvision's; the fully connected layers of VGG as convolutions.
    Timm,
    /// kuangliu/pytorch-cifar: ImageNet networks with CIFAR stems.
    Kuangliu,
    /// akamaster/pytorch_resnet_cifar10: the paper's CIFAR networks.
    CifarAkamaster,
}

impl Preset {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Torchvision => "torchvision",
            Self::Timm => "timm",
            Self::Kuangliu => "kuangliu",
            Self::CifarAkamaster => "cifar-akamaster",
        }
    }

    /// Whose names `keys` are, for a file said to be `spec`.
    pub fn detect(keys: &BTreeSet<String>, spec: &Spec) -> Self {
        let has = |part: &str| keys.iter().any(|key| key.contains(part));
        if has("pre_logits.") || has("head.fc.") {
            Self::Timm
        } else if is_cifar_net(spec) && (has("linear.") || has(".shortcut.")) {
            Self::CifarAkamaster
        } else if has("linear.") || has(".shortcut.") || keys.contains("classifier.weight") {
            Self::Kuangliu
        } else {
            Self::Torchvision
        }
    }

    /// Our name for `key`.
    pub(super) fn ours(self, key: &str) -> String {
        let pairs: &[(&str, &str)] = match self {
            Self::Torchvision => &[],
            Self::Timm => &[
                ("pre_logits.fc1.", "classifier.0."),
                ("pre_logits.fc2.", "classifier.3."),
                ("head.fc.", "classifier.6."),
            ],
            Self::Kuangliu => &[("linear.", "fc."), ("classifier.", "classifier.0.")],
            Self::CifarAkamaster => &[("linear.", "fc.")],
        };
        for (theirs, ours) in pairs {
            if let Some(rest) = key.strip_prefix(theirs) {
                return format!("{ours}{rest}");
            }
        }
        match self {
            Self::Kuangliu | Self::CifarAkamaster => key.replace(".shortcut.", ".downsample."),
            Self::Torchvision | Self::Timm => key.to_owned(),
        }
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Torchvision, Self::Timm, Self::Kuangliu, Self::CifarAkamaster];
        let found = all.into_iter().find(|preset| preset.name() == text);
        found.ok_or_else(|| "one of auto, torchvision, timm, kuangliu, cifar-akamaster".into())
    }
}

/// Whether it is one of the three-stage networks of ResNet §4.2.
pub(super) fn is_cifar_net(spec: &Spec) -> bool {
    matches!(spec.architecture, Architecture::ResNet { cifar: true, .. })
}

/// Counters that carry no weight: batches seen by a normalisation, updates of an average.
pub(super) fn is_counter(key: &str) -> bool {
    key.ends_with("num_batches_tracked") || key == "n_averaged"
}

/// What all of `keys` begin with: no network here begins all its names alike, so it is a wrapper's (`module.` of
/// DataParallel, `_orig_mod.` of torch.compile, `model.` of trainers).
pub(super) fn wrapper(keys: &BTreeSet<String>) -> String {
    let mut prefix = String::new();
    loop {
        let next = |key: &String| key.strip_prefix(&prefix)?.split_once('.').map(|(part, _)| part.to_owned());
        let mut parts = keys.iter().filter(|key| !is_counter(key)).map(next);
        let Some(Some(first)) = parts.next() else { return prefix };
        // One tensor alone is not wrapped by its own layer.
        if keys.len() < 3 || parts.any(|part| part.as_deref() != Some(first.as_str())) {
            return prefix;
        }
        prefix += &format!("{first}.");
    }
}
