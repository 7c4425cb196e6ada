//! Networks and test protocols combined: every crop goes through its network, and the probabilities
//! of all crops of an image are averaged.
//!
//! One member is a plain test; several are an ensemble (VGG Table 6, ResNet Table 5), or the same
//! weights tested by `dense` and by `multi-crop` (VGG Table 5). Each member has the same weight.
//! Images may differ in size: crops of one size go through the network together.

use super::checks::check_labels;
use super::crops::{Crop, CropSet};
use super::evaluation::{Evaluation, Method};
use super::predictions::{Prediction, Predictions};
use super::protocol::TestProtocol;
use crate::data::{self, Image, Images, Normalizer, Preprocessing};
use crate::error::{Error, Kind, Result};
use crate::models::Model;
use rayon::prelude::*;
use residual::graph::Network;
use residual::plan::{InferenceSession, batch_of, softmax};
use std::collections::BTreeMap;
use std::time::Instant;

/// Values of all waiting crops at which they go through the networks: 256 MB. Images may have any
/// aspect ratio, so this is counted, not estimated.
const WAITING: usize = 64 << 20;

/// Images whose crops wait, at most.
const CHUNK: usize = 128;

/// Images that are decoded at a time. Their crops may exceed [`WAITING`] by 3 GB if each image is
/// as large as `dense` takes.
const DECODED: usize = 16;

/// How many unreadable images a note names.
const NAMED: usize = 5;

/// A network and the crops that it is tested on.
#[derive(Debug)]
pub struct Member {
    session: InferenceSession,
    preprocessing: Preprocessing,
    normalizer: Normalizer,
    crop_set: CropSet,
}

impl Member {
    /// Combines `model`, which takes images as `preprocessing` says, with `crop_set`. `precise` is that of
    /// [`InferenceSession::new`].
    ///
    /// # Errors
    /// `preprocessing` has another input size than `model`, or the network does not take dense images, or
    /// not of these scales.
    pub fn new<N: Network>(
        model: &Model<N>,
        preprocessing: &Preprocessing,
        crop_set: CropSet,
        precise: bool,
    ) -> Result<Self> {
        let Preprocessing { height, width, channels, .. } = *preprocessing;
        if model.graph().input_shape() != [height, width, channels] {
            let message =
                format!("preprocessing is for {height}x{width}x{channels}, {} for another input", model.spec.name());
            return Err(Error::weights(message));
        }
        let session = InferenceSession::new(model, usize::MAX, !precise);
        if crop_set.protocol() == TestProtocol::Dense {
            let smallest = session.smallest_dense()?;
            if let Some(scale) = crop_set.scales().iter().find(|scale| **scale < smallest) {
                let message = format!("--scales {scale} is too small for {}", model.spec.name());
                return Err(Error::usage(message).with_hint(format!("give scales of at least {smallest}")));
            }
        }
        let normalizer = preprocessing.normalizer()?;
        Ok(Self { session, preprocessing: preprocessing.clone(), normalizer, crop_set })
    }

    /// Returns the crops that the network is tested on.
    pub fn crop_set(&self) -> &CropSet {
        &self.crop_set
    }

    fn crops_of(&self, image: &Image) -> Result<Vec<Crop>> {
        self.crop_set.crops_of(image, &self.preprocessing, &self.normalizer)
    }

    /// Averages the probabilities of each image's crops; one row per image.
    fn average(&self, images: Vec<Vec<Crop>>) -> Result<Vec<Vec<f64>>> {
        let classes = self.session.classes();
        let mut sums: Vec<(Vec<f64>, usize)> = vec![(vec![0.0; classes], 0); images.len()];
        let mut by_size: BTreeMap<[usize; 2], Vec<(usize, Vec<f32>)>> = BTreeMap::new();
        for (image, crops) in images.into_iter().enumerate() {
            for Crop { size, pixels } in crops {
                by_size.entry(size).or_default().push((image, pixels));
            }
        }
        for ([h, w], crops) in by_size {
            for crops in crops.chunks(batch_of(h, w)) {
                let pixels: Vec<f32> = crops.iter().flat_map(|(_, pixels)| pixels).copied().collect();
                let rows = self.probabilities(&pixels, [crops.len(), h, w])?;
                for (row, (image, _)) in rows.chunks_exact(classes).zip(crops) {
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
        let classes = self.session.classes();
        match self.crop_set.protocol() {
            TestProtocol::Dense => self.session.dense_logits(pixels, dims).map(|logits| softmax(&logits, classes)),
            TestProtocol::Center | TestProtocol::Flip | TestProtocol::TenCrop | TestProtocol::MultiCrop => {
                self.session.probabilities(pixels, dims[0])
            }
        }
    }
}

/// Networks whose probabilities are averaged.
#[derive(Debug)]
pub struct Ensemble {
    members: Vec<Member>,
}

impl Ensemble {
    /// Combines `members` with equal weights.
    ///
    /// # Errors
    /// There are no members, or they have different numbers of classes.
    pub fn new(members: Vec<Member>) -> Result<Self> {
        let classes = |member: &Member| member.session.classes();
        let Some(first) = members.first().map(classes) else {
            return Err(Error::usage("an ensemble needs a network"));
        };
        if let Some(other) = members.iter().map(classes).find(|other| *other != first) {
            let message = format!("networks of {first} and of {other} classes cannot be averaged");
            return Err(Error::usage(message));
        }
        Ok(Self { members })
    }

    /// Returns the networks and their crops.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns the class probabilities of each image. Images may differ in size.
    ///
    /// # Errors
    /// A member does not take one of the images.
    pub fn probabilities(&self, images: &[Image]) -> Result<Vec<Vec<f32>>> {
        let mut rows = Vec::with_capacity(images.len());
        for images in images.chunks(DECODED) {
            let crops = images.par_iter().map(|image| self.crops_of(image)).collect::<Result<Vec<_>>>()?;
            rows.append(&mut self.average(crops)?);
        }
        Ok(rows)
    }

    /// Returns each member's crops of `image`.
    fn crops_of(&self, image: &Image) -> Result<Vec<Vec<Crop>>> {
        self.members.iter().map(|member| member.crops_of(image)).collect()
    }

    /// Averages the probabilities of the members; `images` holds each member's crops of each image.
    fn average(&self, images: Vec<Vec<Vec<Crop>>>) -> Result<Vec<Vec<f32>>> {
        let mut by_member: Vec<Vec<Vec<Crop>>> = self.members.iter().map(|_| Vec::new()).collect();
        for crops in images {
            by_member.iter_mut().zip(crops).for_each(|(member, crops)| member.push(crops));
        }
        let mut sums: Vec<Vec<f64>> = Vec::new();
        for (member, crops) in self.members.iter().zip(by_member) {
            let rows = member.average(crops)?;
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

    /// Returns each member's crops of image `i`. The image itself, 36 MB if a phone took it, is
    /// freed.
    fn read(&self, images: &Images, i: usize) -> Result<Vec<Vec<Crop>>> {
        let image = images.original(i)?;
        self.crops_of(&image).map_err(|error| error.about(images.name(i)))
    }

    /// Tests on `images`. With `skip_bad`, images that do not decode or are too large for `dense`
    /// are left out and counted.
    ///
    /// # Errors
    /// There are no images, the numbers of classes differ, or an image cannot be read or cropped.
    pub fn evaluate(
        &self,
        images: &Images,
        classes: &[String],
        skip_bad: bool,
        progress: &mut dyn data::Progress,
    ) -> Result<Evaluation> {
        for member in &self.members {
            check_labels(&member.session, images, classes)?;
        }
        let mut predictions = Predictions { classes: classes.to_vec(), rows: Vec::new() };
        let mut bad: Vec<Error> = Vec::new();
        let began = Instant::now();
        progress.start("testing", images.len() as u64);
        let all: Vec<usize> = (0..images.len()).collect();
        // Of the images read since the networks last ran: indices and crops of the readable ones.
        let (mut indices, mut waiting, mut values, mut seen) = (Vec::new(), Vec::new(), 0, 0);
        for chunk in all.chunks(DECODED) {
            let read: Vec<Result<_>> = chunk.par_iter().map(|&i| self.read(images, i)).collect();
            for (&i, crops) in chunk.iter().zip(read) {
                match crops {
                    Ok(crops) => {
                        values += crops.iter().flatten().map(|crop| crop.pixels.len()).sum::<usize>();
                        indices.push(i);
                        waiting.push(crops);
                    }
                    // A usage error concerns every image alike.
                    Err(error) if skip_bad && error.kind() != Kind::Usage => bad.push(error),
                    Err(error) if error.hint().is_none() => return Err(error.with_hint("--skip-bad leaves it out")),
                    Err(error) => return Err(error),
                }
            }
            seen += chunk.len();
            if values < WAITING && seen < CHUNK && chunk.last() != all.last() {
                continue;
            }
            for (row, i) in self.average(std::mem::take(&mut waiting))?.iter().zip(indices.drain(..)) {
                predictions.rows.push(Prediction::new(row, images.label(i)).of_image(images, i));
            }
            progress.advance(seen as u64);
            (values, seen) = (0, 0);
        }
        report_skipped(&bad, images.len(), progress)?;
        let tested = images.len() - bad.len();
        let method = Method {
            protocol: self.protocol(),
            scales: self.scales(),
            crops: tested * self.members.iter().map(|member| member.crop_set.count()).sum::<usize>(),
            skipped: bad.len(),
            seconds: began.elapsed().as_secs_f64(),
        };
        Ok(Evaluation::new(predictions, method))
    }

    /// Returns the members' protocols, each once: `dense+multi-crop`.
    fn protocol(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for member in &self.members {
            let name = member.crop_set.protocol().name();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.join("+")
    }

    /// Returns the members' scales, each once, ascending.
    fn scales(&self) -> Vec<usize> {
        let mut scales: Vec<usize> = self.members.iter().flat_map(|member| member.crop_set.scales()).copied().collect();
        scales.sort_unstable();
        scales.dedup();
        scales
    }
}

/// Reports which images were left out.
///
/// # Errors
/// All images were left out.
fn report_skipped(bad: &[Error], total: usize, progress: &mut dyn data::Progress) -> Result<()> {
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
