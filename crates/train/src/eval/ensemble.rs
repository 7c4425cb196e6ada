//! Networks and ways of looking, put together: every view goes through its network, and the probabilities of all views
//! of an image are averaged.
//!
//! One member looking in one way is a plain test; several are an ensemble (VGG Table 6, ResNet Table 5) or the same
//! weights looking densely and by windows (VGG Table 5). Each member counts the same. Images may differ in size: views
//! of one size go through the network together.

use super::classifier::softmax;
use super::evaluation::Cost;
use super::look::{Look, View, Views};
use super::predictions::{Prediction, Predictions};
use super::{Classifier, Evaluation, batch_of, check_labels};
use crate::data::{self, Image, Images, Normalizer, Preprocessing};
use crate::error::{Error, Kind, Result};
use crate::models::Model;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::time::Instant;

/// Values of views from which they are taken through the networks: 256 MB. Images may have any proportions, so this is
/// counted, not reckoned.
const WAITING: usize = 64 << 20;

/// Images whose views wait, at most.
const CHUNK: usize = 128;

/// Images that are decoded at a time; by their views more than [`WAITING`] may wait, 3 GB where each of them is as large
/// as dense takes any.
const DECODED: usize = 16;

/// How many bad images a note names.
const NAMED: usize = 5;

/// A network and how it looks at images.
#[derive(Debug)]
pub struct Member {
    classifier: Classifier,
    preprocessing: Preprocessing,
    normalizer: Normalizer,
    look: Look,
}

impl Member {
    /// `model`, which takes images as `preprocessing` says, looking at them by `look`; `precise` as in [`Classifier::new`].
    ///
    /// # Errors
    /// Preprocessing for another input; a network that cannot be applied densely, or not at these scales.
    pub fn new(model: &Model, preprocessing: &Preprocessing, look: Look, precise: bool) -> Result<Self> {
        let Preprocessing { height, width, channels, .. } = *preprocessing;
        if model.spec.input != [height, width, channels] {
            let message =
                format!("preprocessing is for {height}x{width}x{channels}, {} for another input", model.spec.name);
            return Err(Error::weights(message));
        }
        if look.views() == Views::Dense {
            let smallest = model.spec.smallest_dense()?;
            if let Some(scale) = look.scales().iter().find(|scale| **scale < smallest) {
                let message = format!("{} cannot be applied to images of {scale} px", model.spec.name);
                return Err(Error::usage(message).with_hint(format!("--scales takes numbers from {smallest} upwards")));
            }
        }
        let normalizer = preprocessing.normalizer()?;
        let classifier = Classifier::new(model, usize::MAX, precise);
        Ok(Self { classifier, preprocessing: preprocessing.clone(), normalizer, look })
    }

    /// How it looks.
    pub fn look(&self) -> &Look {
        &self.look
    }

    fn views_of(&self, image: &Image) -> Result<Vec<View>> {
        self.look.views_of(image, &self.preprocessing, &self.normalizer)
    }

    /// The mean over each image's views of their probabilities, a row for each image.
    fn average(&self, images: Vec<Vec<View>>) -> Result<Vec<Vec<f64>>> {
        let classes = self.classifier.model().spec.classes;
        let mut sums: Vec<(Vec<f64>, usize)> = vec![(vec![0.0; classes], 0); images.len()];
        let mut by_size: BTreeMap<[usize; 2], Vec<(usize, Vec<f32>)>> = BTreeMap::new();
        for (image, views) in images.into_iter().enumerate() {
            for View { size, pixels } in views {
                by_size.entry(size).or_default().push((image, pixels));
            }
        }
        for ([h, w], views) in by_size {
            for views in views.chunks(batch_of(h, w)) {
                let pixels: Vec<f32> = views.iter().flat_map(|(_, pixels)| pixels).copied().collect();
                let rows = self.probabilities(&pixels, [views.len(), h, w])?;
                for (row, (image, _)) in rows.chunks_exact(classes).zip(views) {
                    let (sum, count) = &mut sums[*image];
                    sum.iter_mut().zip(row).for_each(|(sum, &p)| *sum += f64::from(p));
                    *count += 1;
                }
            }
        }
        let mean = |(sum, count): (Vec<f64>, usize)| sum.into_iter().map(|sum| sum / count.max(1) as f64).collect();
        Ok(sums.into_iter().map(mean).collect())
    }

    fn probabilities(&self, pixels: &[f32], dims: [usize; 3]) -> Result<Vec<f32>> {
        let classes = self.classifier.model().spec.classes;
        match self.look.views() {
            Views::Dense => self.classifier.dense_logits(pixels, dims).map(|logits| softmax(&logits, classes)),
            Views::Center | Views::Flip | Views::TenCrop | Views::MultiCrop => {
                self.classifier.probabilities(pixels, dims[0])
            }
        }
    }
}

/// Members whose probabilities are averaged.
#[derive(Debug)]
pub struct Ensemble {
    members: Vec<Member>,
}

impl Ensemble {
    /// `members`, each of which counts the same.
    ///
    /// # Errors
    /// No members, or members that tell different numbers of classes apart.
    pub fn new(members: Vec<Member>) -> Result<Self> {
        let classes = |member: &Member| member.classifier.model().spec.classes;
        let Some(first) = members.first().map(classes) else {
            return Err(Error::usage("an ensemble needs a network"));
        };
        if let Some(other) = members.iter().map(classes).find(|other| *other != first) {
            let message = format!("networks of {first} and of {other} classes cannot be averaged");
            return Err(Error::usage(message));
        }
        Ok(Self { members })
    }

    /// What is averaged.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Class probabilities of each image; their sizes may differ.
    ///
    /// # Errors
    /// Images that a member cannot look at.
    pub fn probabilities(&self, images: &[Image]) -> Result<Vec<Vec<f32>>> {
        let mut rows = Vec::with_capacity(images.len());
        for images in images.chunks(DECODED) {
            let views = images.par_iter().map(|image| self.views_of(image)).collect::<Result<Vec<_>>>()?;
            rows.append(&mut self.average(views)?);
        }
        Ok(rows)
    }

    /// What each member sees in `image`.
    fn views_of(&self, image: &Image) -> Result<Vec<Vec<View>>> {
        self.members.iter().map(|member| member.views_of(image)).collect()
    }

    /// `images`: for each the views of each member.
    fn average(&self, images: Vec<Vec<Vec<View>>>) -> Result<Vec<Vec<f32>>> {
        let mut by_member: Vec<Vec<Vec<View>>> = self.members.iter().map(|_| Vec::new()).collect();
        for views in images {
            by_member.iter_mut().zip(views).for_each(|(member, views)| member.push(views));
        }
        let mut sums: Vec<Vec<f64>> = Vec::new();
        for (member, views) in self.members.iter().zip(by_member) {
            let rows = member.average(views)?;
            if sums.is_empty() {
                sums = rows;
            } else {
                let pairs = sums.iter_mut().flatten().zip(rows.iter().flatten());
                pairs.for_each(|(sum, p)| *sum += p);
            }
        }
        let n = self.members.len() as f64;
        Ok(sums.into_iter().map(|row| row.into_iter().map(|sum| (sum / n) as f32).collect()).collect())
    }

    /// What each member sees in image `i`. The image itself, 36 MB if it comes from a phone, is gone afterwards.
    fn look_at(&self, images: &Images, i: usize) -> Result<Vec<Vec<View>>> {
        let image = images.original(i)?;
        self.views_of(&image).map_err(|error| error.about(images.name(i)))
    }

    /// Tests on `images`. With `skip_bad` those that do not decode, or are too large to be looked at densely, are left
    /// out and counted.
    ///
    /// # Errors
    /// No images, other classes, an image that cannot be read or looked at.
    pub fn evaluate(
        &self,
        images: &Images,
        classes: &[String],
        skip_bad: bool,
        progress: &mut dyn data::Progress,
    ) -> Result<Evaluation> {
        for member in &self.members {
            check_labels(member.classifier.model(), images, classes)?;
        }
        let mut predictions = Predictions::default();
        let mut bad: Vec<Error> = Vec::new();
        let began = Instant::now();
        progress.start("testing", images.len() as u64);
        let all: Vec<usize> = (0..images.len()).collect();
        // Of the images seen since the networks were last called: places and views of those that are whole.
        let (mut places, mut waiting, mut values, mut seen) = (Vec::new(), Vec::new(), 0, 0);
        for chunk in all.chunks(DECODED) {
            let looks: Vec<Result<_>> = chunk.par_iter().map(|&i| self.look_at(images, i)).collect();
            for (&i, views) in chunk.iter().zip(looks) {
                match views {
                    Ok(views) => {
                        values += views.iter().flatten().map(|view| view.pixels.len()).sum::<usize>();
                        places.push(i);
                        waiting.push(views);
                    }
                    // What no image can be looked at by is not the images' fault.
                    Err(error) if skip_bad && error.kind() != Kind::Usage => bad.push(error),
                    Err(error) if error.hint().is_none() => return Err(error.with_hint("--skip-bad leaves it out")),
                    Err(error) => return Err(error),
                }
            }
            seen += chunk.len();
            if values < WAITING && seen < CHUNK && chunk.last() != all.last() {
                continue;
            }
            for (row, i) in self.average(std::mem::take(&mut waiting))?.iter().zip(places.drain(..)) {
                predictions.rows.push(Prediction::new(row, images.label(i)));
            }
            progress.advance(seen as u64);
            (values, seen) = (0, 0);
        }
        report(&bad, images.len(), progress)?;
        let tested = images.len() - bad.len();
        let crops = tested * self.members.iter().map(|member| member.look.count()).sum::<usize>();
        let cost = Cost { crops, skipped: bad.len(), seconds: began.elapsed().as_secs_f64() };
        Ok(Evaluation::new(&predictions, classes, &self.protocol(), &self.scales(), cost))
    }

    /// The members' protocols, each once: `dense+multi-crop`.
    fn protocol(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for member in &self.members {
            let name = member.look.views().name();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.join("+")
    }

    /// The members' scales, each once, ascending.
    fn scales(&self) -> Vec<usize> {
        let mut scales: Vec<usize> = self.members.iter().flat_map(|member| member.look.scales()).copied().collect();
        scales.sort_unstable();
        scales.dedup();
        scales
    }
}

/// Says which images were left out; all of them is a failure.
fn report(bad: &[Error], total: usize, progress: &mut dyn data::Progress) -> Result<()> {
    if bad.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = bad.iter().take(NAMED).map(ToString::to_string).collect();
    let text = format!("left out {} of {total} images: {}", bad.len(), names.join("; "));
    if bad.len() == total {
        return Err(Error::data(text));
    }
    progress.note(&text);
    Ok(())
}
