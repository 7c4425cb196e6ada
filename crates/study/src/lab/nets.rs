//! Which networks a lab compares.

use super::chain::Design;
use residual::error::{Error, Result};
use residual_train::models::options::Shortcut;
use residual_train::models::{self, Architecture, ModelOptions};
use residual_train::recipe::Recipe;

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Plain and residual networks of several depths.
    Depth,
    /// VGG's configurations.
    Vgg,
    /// Stacks of filters with and without ReLUs.
    Nonlinearity,
}

impl Kind {
    /// What it is called.
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
pub struct Net {
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// One of the papers'.
    Paper { name: String, family: &'static str, depth: usize, shortcut: Option<Shortcut> },
    /// One that no paper has.
    Chain(Design),
}

impl Net {
    /// The plain network of `depth` layers.
    ///
    /// # Errors
    /// A depth that is not 6n+2.
    pub fn plain(depth: usize) -> Result<Self> {
        Self::cifar("plain", depth, None)
    }

    /// The residual network of `depth` layers.
    ///
    /// # Errors
    /// A depth that is not 6n+2.
    pub fn residual(depth: usize, shortcut: Shortcut) -> Result<Self> {
        Self::cifar("resnet", depth, Some(shortcut))
    }

    fn cifar(family: &'static str, depth: usize, shortcut: Option<Shortcut>) -> Result<Self> {
        let name = models::find(&format!("{family}-cifar-{depth}"))?.name;
        Ok(Self { what: What::Paper { name, family, depth, shortcut } })
    }

    /// A VGG by the name of its configuration: `a`, `a-lrn`, `d-bn`.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn vgg(configuration: &str) -> Result<Self> {
        let entry = models::find(&format!("vgg-{configuration}"))?;
        let Architecture::Vgg { steps, norm } = entry.architecture else {
            return Err(Error::usage(format!("{} is no VGG", entry.name)));
        };
        let convolutions =
            steps.iter().filter(|step| matches!(step, models::vgg::Step::C3(_) | models::vgg::Step::C1(_)));
        let family = if norm { "vgg-bn" } else { "vgg" };
        // The paper counts three fully connected layers; its CIFAR version has one.
        Ok(Self { what: What::Paper { name: entry.name, family, depth: convolutions.count() + 3, shortcut: None } })
    }

    /// A chain of convolutions.
    pub fn chain(design: Design) -> Self {
        Self { what: What::Chain(design) }
    }

    /// The networks of [`Kind::Depth`]: of each depth the plain one, and a residual one for each kind of shortcut.
    ///
    /// # Errors
    /// A depth that is not 6n+2.
    pub fn of_depths(depths: &[usize], shortcuts: &[Shortcut]) -> Result<Vec<Self>> {
        let mut nets = Vec::new();
        for &depth in depths {
            nets.push(Self::plain(depth)?);
            for &shortcut in shortcuts {
                nets.push(Self::residual(depth, shortcut)?);
            }
        }
        Ok(nets)
    }

    /// The networks of [`Kind::Nonlinearity`], all of which see 7x7 pixels at each stage: three 3x3 and one 7x7, with ReLUs
    /// and without. Without, the whole network is linear in its image.
    pub fn stacks() -> Vec<Self> {
        let mut nets = Vec::new();
        for relu in [true, false] {
            nets.push(Self::chain(Design { kernel: 3, repeats: 3, relu }));
            nets.push(Self::chain(Design { kernel: 7, repeats: 1, relu }));
        }
        nets
    }

    /// In tables: `resnet-20 (B)`.
    pub fn name(&self) -> String {
        match &self.what {
            What::Paper { name, shortcut: Some(shortcut), .. } => format!("{name} ({shortcut:?})"),
            What::Paper { name, .. } => name.clone(),
            What::Chain(design) => design.name(),
        }
    }

    /// Of its folder, without the seed.
    pub(super) fn folder(&self) -> String {
        match &self.what {
            What::Paper { name, shortcut: Some(shortcut), .. } => format!("{name}-{shortcut:?}"),
            What::Paper { name, .. } => name.clone(),
            What::Chain(design) => design.folder(),
        }
    }

    /// What it is grouped by.
    pub fn family(&self) -> &'static str {
        match &self.what {
            What::Paper { family, .. } => family,
            What::Chain(Design { relu: true, .. }) => "relu",
            What::Chain(Design { relu: false, .. }) => "linear",
        }
    }

    /// Weight layers.
    pub fn depth(&self) -> usize {
        match &self.what {
            What::Paper { depth, .. } => *depth,
            What::Chain(design) => design.depth(),
        }
    }

    /// Its shortcuts.
    pub fn shortcut(&self) -> Option<Shortcut> {
        match &self.what {
            What::Paper { shortcut, .. } => *shortcut,
            What::Chain(_) => None,
        }
    }

    pub(super) fn design(&self) -> Option<Design> {
        match &self.what {
            What::Paper { .. } => None,
            What::Chain(design) => Some(*design),
        }
    }

    /// Puts the network into `recipe`; what else the recipe says of networks stays, as far as this one has it.
    pub(super) fn apply(&self, recipe: &mut Recipe) {
        if let What::Paper { name, shortcut, .. } = &self.what {
            recipe.model = ModelOptions { name: name.clone(), shortcut: *shortcut, ..recipe.model.clone() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_depth_has_its_plain_network_and_one_for_each_shortcut() {
        let nets = Net::of_depths(&[20, 56], &[Shortcut::A, Shortcut::C]).expect("6n+2");
        let names: Vec<String> = nets.iter().map(Net::name).collect();
        assert_eq!(names, ["plain-20", "resnet-20 (A)", "resnet-20 (C)", "plain-56", "resnet-56 (A)", "resnet-56 (C)"]);
        assert!(Net::plain(21).expect_err("not 6n+2").hint().is_some_and(|hint| hint.contains("20 and 26")));
        assert_eq!(Net::vgg("d-bn").expect("16 layers").depth(), 16);
        assert_eq!(Net::vgg("a-lrn").expect("11 layers").depth(), 11);
    }
}
