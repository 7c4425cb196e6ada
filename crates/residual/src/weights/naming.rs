//! What other programs call the tensors of these networks. Our names are torchvision's.

use crate::models::{Architecture, Spec};
use crate::tensor::is_counter;
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

    /// Their name for `key`, for the two that networks are written for.
    pub(crate) fn theirs(self, key: &str) -> String {
        if self != Self::CifarAkamaster {
            return key.to_owned();
        }
        match key.strip_prefix("fc.") {
            Some(rest) => format!("linear.{rest}"),
            None => key.replace(".downsample.", ".shortcut."),
        }
    }

    /// Our name for `key`.
    pub(crate) fn ours(self, key: &str) -> String {
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
pub fn is_cifar_net(spec: &Spec) -> bool {
    matches!(spec.architecture, Architecture::ResNet { cifar: true, .. })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ModelOptions;
    use crate::models::options::Shortcut;

    fn model(name: &str, input: usize, shortcut: Option<Shortcut>) -> Spec {
        let options = ModelOptions {
            name: name.into(),
            input: Some(input),
            shortcut,
            classes: Some(10),
            ..ModelOptions::default()
        };
        Spec::resolve(&options).expect("a network")
    }

    /// The keys of a normalisation.
    fn norm(name: &str) -> [String; 5] {
        ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"].map(|part| format!("{name}.{part}"))
    }

    /// Residual stages as torchvision and those after it define them: blocks by stage, convolutions by block, where a block
    /// has a projection, and what that is called.
    fn stages(blocks: &[usize], convs: usize, projects: fn(usize, usize) -> bool, around: &str) -> BTreeSet<String> {
        let mut keys: BTreeSet<String> = norm("bn1").into_iter().chain(["conv1.weight".to_owned()]).collect();
        for (stage, &blocks) in blocks.iter().enumerate() {
            for block in 0..blocks {
                let name = format!("layer{}.{block}", stage + 1);
                for conv in 1..=convs {
                    keys.insert(format!("{name}.conv{conv}.weight"));
                    keys.extend(norm(&format!("{name}.bn{conv}")));
                }
                if projects(stage, block) {
                    keys.insert(format!("{name}.{around}.0.weight"));
                    keys.extend(norm(&format!("{name}.{around}.1")));
                }
            }
        }
        keys
    }

    /// `features.N` of a VGG with normalisations, as torchvision, timm and kuangliu number them alike.
    fn features(convs_by_group: &[usize]) -> BTreeSet<String> {
        let (mut keys, mut at) = (BTreeSet::new(), 0);
        for &convs in convs_by_group {
            for _ in 0..convs {
                keys.extend(["weight", "bias"].map(|part| format!("features.{at}.{part}")));
                keys.extend(norm(&format!("features.{}", at + 1)));
                at += 3;
            }
            at += 1;
        }
        keys
    }

    fn with(mut keys: BTreeSet<String>, layers: &[&str]) -> BTreeSet<String> {
        keys.extend(layers.iter().flat_map(|layer| ["weight", "bias"].map(|part| format!("{layer}.{part}"))));
        keys
    }

    /// `theirs` is told to be `preset`'s, and holds what `model` has: no name more, no name less.
    fn assert_fits(preset: Preset, theirs: &BTreeSet<String>, model: &Spec) {
        assert_eq!(Preset::detect(theirs, model), preset, "{}", model.name);
        let found: BTreeSet<String> =
            theirs.iter().filter(|key| !is_counter(key)).map(|key| preset.ours(key)).collect();
        let wanted: BTreeSet<String> = model.graph().tensors().into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, wanted, "{}", model.name);
    }

    #[test]
    fn kuangliu_s_resnets_call_projections_shortcut_and_the_last_layer_linear() {
        let basic = with(stages(&[2, 2, 2, 2], 2, |stage, block| stage > 0 && block == 0, "shortcut"), &["linear"]);
        assert_fits(Preset::Kuangliu, &basic, &model("resnet-18", 32, None));
        let deep = with(stages(&[3, 4, 6, 3], 3, |_, block| block == 0, "shortcut"), &["linear"]);
        assert_fits(Preset::Kuangliu, &deep, &model("resnet-50", 32, None));
    }

    #[test]
    fn kuangliu_s_vggs_have_one_layer_called_classifier() {
        for (name, groups) in
            [("vgg-a-bn", [1, 1, 2, 2, 2]), ("vgg-d-bn", [2, 2, 3, 3, 3]), ("vgg-e-bn", [2, 2, 4, 4, 4])]
        {
            assert_fits(Preset::Kuangliu, &with(features(&groups), &["classifier"]), &model(name, 32, None));
        }
    }

    #[test]
    fn timm_s_vggs_end_in_pre_logits_and_head_and_its_resnets_are_torchvision_s() {
        let vgg = with(features(&[2, 2, 3, 3, 3]), &["pre_logits.fc1", "pre_logits.fc2", "head.fc"]);
        assert_fits(Preset::Timm, &vgg, &model("vgg-d-bn", 224, None));
        let resnet = with(stages(&[3, 4, 23, 3], 3, |_, block| block == 0, "downsample"), &["fc"]);
        assert_fits(Preset::Torchvision, &resnet, &model("resnet-101", 224, None));
    }

    #[test]
    fn akamaster_s_networks_come_and_go_under_their_names() {
        let plain = with(stages(&[3, 3, 3], 2, |_, _| false, "shortcut"), &["linear"]);
        let projected = with(stages(&[3, 3, 3], 2, |stage, block| stage > 0 && block == 0, "shortcut"), &["linear"]);
        for (theirs, shortcut) in [(plain, Shortcut::A), (projected, Shortcut::B)] {
            let model = model("resnet-20", 32, Some(shortcut));
            assert_fits(Preset::CifarAkamaster, &theirs, &model);
            for key in theirs {
                let ours = Preset::CifarAkamaster.ours(&key);
                assert_eq!(Preset::CifarAkamaster.theirs(&ours), key);
            }
        }
    }
}
