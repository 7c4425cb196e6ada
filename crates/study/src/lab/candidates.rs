//! The networks that a lab compares.

use super::chain::Design;
use residual::error::{Error, Result};
use residual::models::options::Shortcut;
use residual::models::{self, Architecture, ModelOptions};
use residual_train::recipe::Recipe;

/// A comparison of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Plain and residual networks of several depths.
    Depth,
    /// VGG's configurations.
    Vgg,
    /// Stacks of filters with and without ReLUs.
    Nonlinearity,
}

impl Comparison {
    /// Returns the name of the command.
    pub fn name(self) -> &'static str {
        match self {
            Self::Depth => "depth",
            Self::Vgg => "vgg",
            Self::Nonlinearity => "nonlinearity",
        }
    }
}

/// One network of a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    kind: CandidateKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum CandidateKind {
    /// A network of the papers.
    Paper { name: String, family: &'static str, depth: usize, shortcut: Option<Shortcut> },
    /// A stack of equal filters.
    Chain(Design),
}

impl Candidate {
    /// Returns the plain network of `depth` layers.
    ///
    /// # Errors
    /// Fails if a depth is not 6n+2.
    pub fn plain(depth: usize) -> Result<Self> {
        Self::cifar("plain", depth, None)
    }

    /// Returns the residual network of `depth` layers.
    ///
    /// # Errors
    /// Fails if a depth is not 6n+2.
    pub fn residual(depth: usize, shortcut: Shortcut) -> Result<Self> {
        Self::cifar("resnet", depth, Some(shortcut))
    }

    fn cifar(family: &'static str, depth: usize, shortcut: Option<Shortcut>) -> Result<Self> {
        let name = models::find(&format!("{family}-cifar-{depth}"))?.name;
        Ok(Self { kind: CandidateKind::Paper { name, family, depth, shortcut } })
    }

    /// Returns a VGG by the name of its configuration: `a`, `a-lrn`, `d-bn`.
    ///
    /// # Errors
    /// Fails if VGG has no such configuration.
    pub fn vgg(configuration: &str) -> Result<Self> {
        let entry = models::find(&format!("vgg-{configuration}"))?;
        let Architecture::Vgg { layers, norm } = entry.architecture else {
            return Err(Error::usage(format!("{} is not a VGG", entry.name)));
        };
        let convolutions =
            layers.iter().filter(|layer| matches!(layer, models::vgg::LayerCfg::C3(_) | models::vgg::LayerCfg::C1(_)));
        let family = if norm { "vgg-bn" } else { "vgg" };
        // The paper counts three fully connected layers; its CIFAR version has one.
        Ok(Self {
            kind: CandidateKind::Paper { name: entry.name, family, depth: convolutions.count() + 3, shortcut: None },
        })
    }

    /// Returns the network of a stack of equal filters.
    pub fn chain(design: Design) -> Self {
        Self { kind: CandidateKind::Chain(design) }
    }

    /// Returns the networks of [`Comparison::Depth`]: for each depth the plain network, and a
    /// residual one for each kind of shortcut.
    ///
    /// # Errors
    /// Fails if a depth is not 6n+2.
    pub fn of_depths(depths: &[usize], shortcuts: &[Shortcut]) -> Result<Vec<Self>> {
        let mut candidates = Vec::new();
        for &depth in depths {
            candidates.push(Self::plain(depth)?);
            for &shortcut in shortcuts {
                candidates.push(Self::residual(depth, shortcut)?);
            }
        }
        Ok(candidates)
    }

    /// Returns the networks of [`Comparison::Nonlinearity`]: three 3x3 and one 7x7 per stage, which
    /// have the same receptive field, with ReLUs and without. Without them the whole network is
    /// linear in the image.
    pub fn filter_stacks() -> Vec<Self> {
        let mut candidates = Vec::new();
        for relu in [true, false] {
            candidates.push(Self::chain(Design { kernel: 3, repeats: 3, relu }));
            candidates.push(Self::chain(Design { kernel: 7, repeats: 1, relu }));
        }
        candidates
    }

    /// Returns the name in tables: `resnet-20 (B)`.
    pub fn name(&self) -> String {
        match &self.kind {
            CandidateKind::Paper { name, shortcut: Some(shortcut), .. } => format!("{name} ({shortcut:?})"),
            CandidateKind::Paper { name, .. } => name.clone(),
            CandidateKind::Chain(design) => design.name(),
        }
    }

    /// Returns the name of the folder, without the seed.
    pub(super) fn folder(&self) -> String {
        match &self.kind {
            CandidateKind::Paper { name, shortcut: Some(shortcut), .. } => format!("{name}-{shortcut:?}"),
            CandidateKind::Paper { name, .. } => name.clone(),
            CandidateKind::Chain(design) => design.folder(),
        }
    }

    /// Returns the group of the network.
    pub fn family(&self) -> &'static str {
        match &self.kind {
            CandidateKind::Paper { family, .. } => family,
            CandidateKind::Chain(design) => design.family(),
        }
    }

    /// Returns the number of weight layers.
    pub fn depth(&self) -> usize {
        match &self.kind {
            CandidateKind::Paper { depth, .. } => *depth,
            CandidateKind::Chain(design) => design.depth(),
        }
    }

    /// Returns the kind of the shortcuts, if the network has any.
    pub fn shortcut(&self) -> Option<Shortcut> {
        match &self.kind {
            CandidateKind::Paper { shortcut, .. } => *shortcut,
            CandidateKind::Chain(_) => None,
        }
    }

    pub(super) fn design(&self) -> Option<Design> {
        match &self.kind {
            CandidateKind::Paper { .. } => None,
            CandidateKind::Chain(design) => Some(*design),
        }
    }

    /// Sets the network of `recipe`; other options of the model stay.
    pub(super) fn apply(&self, recipe: &mut Recipe) {
        if let CandidateKind::Paper { name, shortcut, .. } = &self.kind {
            recipe.model = ModelOptions { name: name.clone(), shortcut: *shortcut, ..recipe.model.clone() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_depth_has_its_plain_network_and_one_for_each_shortcut() {
        let candidates = Candidate::of_depths(&[20, 56], &[Shortcut::A, Shortcut::C]).expect("6n+2");
        let names: Vec<String> = candidates.iter().map(Candidate::name).collect();
        assert_eq!(names, ["plain-20", "resnet-20 (A)", "resnet-20 (C)", "plain-56", "resnet-56 (A)", "resnet-56 (C)"]);
        assert!(Candidate::plain(21).expect_err("not 6n+2").hint().is_some_and(|hint| hint.contains("20 and 26")));
        assert_eq!(Candidate::vgg("d-bn").expect("16 layers").depth(), 16);
        assert_eq!(Candidate::vgg("a-lrn").expect("11 layers").depth(), 11);
    }
}
