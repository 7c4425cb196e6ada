//! Loading of training batches on a background thread while the trainer computes.
//!
//! A batch is a pure function of (seed, step), so that a run resumed at any step continues with the
//! same batches. At most [`PREFETCH`] batches wait; the network takes over their pixels without a
//! copy. Images in memory take well under a millisecond per batch and stay on the one thread.
//! Images decoded from files are shared among the loader's own threads, so that no kernel waits for
//! a JPEG.

use super::augment::{Augment, AugmentRng};
use super::batch::{Batch, check, check_batch, empty_batch};
use super::images::Images;
use super::sample::shuffled;
use crate::error::{Error, Result};
use crate::random::{Purpose, stream};
use rayon::prelude::*;
use residual::image::{Normalizer, ResizeSpec};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Batches that wait for the trainer. One would be enough if every batch took the same time.
const PREFETCH: usize = 3;

/// Options of a [`Loader`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Images per batch; all images if there are fewer.
    pub batch: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Whether to drop the rest of an epoch that does not fill a batch.
    pub drop_last: bool,
    /// Step of the first batch: 0, or the step from which a run is resumed.
    pub first_step: u64,
    /// Repeated augmentation.
    pub repeats: RepeatedAugmentation,
}

/// Repeated augmentation (Hoffer et al. 2020; torchvision's `RASampler`).
///
/// Each image occurs several times in an optimiser step, augmented differently each time. The
/// number of steps per epoch stays the same, so that an epoch uses as many times fewer images. The
/// repeats are distributed over the micro-batches whose gradients are averaged into the step, so
/// that no micro-batch has an image twice if there are enough of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepeatedAugmentation {
    /// Occurrences of an image in a step; 1 switches repetition off.
    pub times: usize,
    /// Micro-batches per optimiser step.
    pub micro_batches: usize,
}

impl Default for RepeatedAugmentation {
    fn default() -> Self {
        Self { times: 1, micro_batches: 1 }
    }
}

/// An image of a batch: its index, and which of its repeats it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    index: u32,
    repeat: u64,
}

/// Returns the order of `n` training images in an epoch.
pub fn epoch_order(n: usize, seed: u64, epoch: u64) -> Vec<u32> {
    shuffled(n, &mut stream(seed, Purpose::Shuffle, epoch, 0))
}

/// An endless sequence of training batches, epoch after epoch.
///
/// ```
/// use residual_train::data::{self, Augment, Images, Loader, LoaderOptions, Normalizer};
/// use std::sync::Arc;
///
/// let images = Arc::new(Images::from_memory(2, 2, 1, (0..40).collect(), (0..10).collect())?);
/// let normalize = data::channel_statistics(&images, &mut ())?;
/// let normalizer = Arc::new(Normalizer::new(&normalize, 2, 2, 1)?);
/// let options = LoaderOptions {
///     batch: 4,
///     seed: 0,
///     drop_last: false,
///     first_step: 0,
///     repeats: Default::default(),
/// };
/// let mut loader = Loader::new(images, normalizer, Augment::default(), options)?;
/// assert_eq!(loader.steps_per_epoch(), 3);
/// let batch = loader.next()?;
/// assert_eq!((batch.len(), batch.pixels.len(), batch.epoch), (4, 16, 0));
/// # Ok::<(), residual_train::Error>(())
/// ```
#[derive(Debug)]
pub struct Loader {
    /// `None` once dropped; closing the channel stops the thread.
    ready: Option<Receiver<Result<Batch>>>,
    thread: Option<JoinHandle<()>>,
    steps_per_epoch: u64,
    waited: Duration,
}

impl Loader {
    /// Starts preparing batches of the normaliser's size, which may differ from the images' if
    /// `augment` crops them.
    ///
    /// # Errors
    /// Fails if there are no images, the batch is 0, the normaliser is for images of another size,
    /// the augmentation is out of range, or no thread can be started.
    pub fn new(
        images: Arc<Images>,
        normalizer: Arc<Normalizer>,
        augment: Augment,
        options: LoaderOptions,
    ) -> Result<Self> {
        let (height, width) = (normalizer.height(), normalizer.width());
        match augment.needs_originals() && normalizer.channels() == images.channels() {
            true => check_batch(&images, options.batch)?,
            false => check(&images, &normalizer, options.batch)?,
        }
        augment.check(height, width)?;
        let spec = ResizeSpec { height, width, ..images.resize_spec() };
        let (n, batch) = (images.len(), options.batch.min(images.len()));
        let RepeatedAugmentation { times, micro_batches } = options.repeats;
        let steps_per_epoch = match (options.drop_last, times) {
            (false, _) => n.div_ceil(batch),
            // Whole optimiser steps, in which schedules and events count epochs; a set smaller than
            // a step is used completely.
            (true, 0 | 1) if n / batch < micro_batches => n / batch,
            (true, 0 | 1) => n / batch / micro_batches * micro_batches,
            // The micro-batches of a step are filled together.
            (true, _) => (n / (batch * micro_batches)).max(1) * micro_batches,
        } as u64;
        let (send, ready) = sync_channel(PREFETCH);
        let options = LoaderOptions { batch, ..options };
        let worker = Worker { images, normalizer, augment, spec, options, steps_per_epoch };
        let thread = std::thread::Builder::new()
            .name("loader".into())
            .spawn(move || worker.run(&send))
            .map_err(|e| Error::data(format!("cannot start the thread that prepares batches: {e}")))?;
        Ok(Self { ready: Some(ready), thread: Some(thread), steps_per_epoch, waited: Duration::ZERO })
    }

    /// Returns the batch of the next step.
    ///
    /// # Errors
    /// Fails if an image that is decoded on demand cannot be read; the loader then stops.
    #[expect(clippy::should_implement_trait, reason = "it never ends and it fails: a Result, not an Option")]
    pub fn next(&mut self) -> Result<Batch> {
        let began = Instant::now();
        let batch = self.ready.as_ref().and_then(|ready| ready.recv().ok());
        self.waited += began.elapsed();
        batch.unwrap_or_else(|| Err(Error::data("the thread that prepares batches has stopped")))
    }

    /// Returns the number of batches per epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    /// Returns the time that [`next`](Self::next) has waited for batches so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.ready = None;
        if let Some(thread) = self.thread.take() {
            // `next` has reported a panic of the thread already.
            let _ = thread.join();
        }
    }
}

/// State of the background thread.
struct Worker {
    images: Arc<Images>,
    normalizer: Arc<Normalizer>,
    augment: Augment,
    /// How images are resized to the normaliser's size.
    spec: ResizeSpec,
    options: LoaderOptions,
    steps_per_epoch: u64,
}

impl Worker {
    /// Prepares batches until the receiver is dropped or one fails.
    fn run(&self, ready: &SyncSender<Result<Batch>>) {
        // If no pool can be built, images are prepared one after the other.
        let pool = match self.images.in_memory() && !self.augment.is_slow() {
            true => None,
            // As many threads as compute, since `--threads 1` is meant for all work.
            false => rayon::ThreadPoolBuilder::new()
                .num_threads(rayon::current_num_threads())
                .thread_name(|i| format!("decode-{i}"))
                .build()
                .ok(),
        };
        let mut order = (u64::MAX, Vec::new());
        for step in self.options.first_step.. {
            let epoch = step / self.steps_per_epoch;
            if order.0 != epoch {
                order = (epoch, epoch_order(self.images.len(), self.options.seed, epoch));
            }
            let samples = samples(&order.1, (step % self.steps_per_epoch) as usize, &self.options);
            let batch = match &pool {
                Some(pool) => pool.install(|| self.batch(&samples, epoch, true)),
                None => self.batch(&samples, epoch, false),
            };
            let failed = batch.is_err();
            if ready.send(batch).is_err() || failed {
                return;
            }
        }
    }

    /// Prepares one batch.
    fn batch(&self, samples: &[Sample], epoch: u64, parallel: bool) -> Result<Batch> {
        let ResizeSpec { height, width, channels, .. } = self.spec;
        let indices = samples.iter().map(|sample| sample.index).collect();
        let mut batch = Batch { epoch, ..empty_batch(&self.images, indices, [height, width, channels]) };
        let stride = height * width * channels;
        let prepare = |(out, &Sample { index, repeat }): (&mut [f32], &Sample)| {
            // Indices have 32 bits, so that each repeat has its own random numbers.
            let rng = AugmentRng { seed: self.options.seed, epoch, image: u64::from(index) | repeat << 32 };
            let pixels = self.augment.pixels(&self.images, index as usize, &self.spec, rng)?;
            self.augment.apply(&self.normalizer, &pixels, rng, out);
            Ok(())
        };
        match parallel {
            true => batch.pixels.par_chunks_exact_mut(stride).zip(samples).try_for_each(prepare),
            false => batch.pixels.chunks_exact_mut(stride).zip(samples).try_for_each(prepare),
        }?;
        Ok(batch)
    }
}

/// Returns the images of batch `step` of an epoch whose images are in `order`.
fn samples(order: &[u32], step: usize, options: &LoaderOptions) -> Vec<Sample> {
    let RepeatedAugmentation { times, micro_batches } = options.repeats;
    if times <= 1 {
        let start = step * options.batch;
        let indices = &order[start..(start + options.batch).min(order.len())];
        return indices.iter().map(|&index| Sample { index, repeat: 0 }).collect();
    }
    let (group, micro_batch) = (step / micro_batches, step % micro_batches);
    let sample = |i: usize| {
        let position = (group * options.batch + i) * micro_batches + micro_batch;
        Sample { index: order[position / times % order.len()], repeat: (position % times) as u64 }
    };
    (0..options.batch).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::super::augment::{Crop, Flip};
    use super::super::batch::batches;
    use super::*;
    use residual::image::Normalize;

    fn images(n: usize) -> Arc<Images> {
        let pixels = (0..n * 12).map(|i| (i % 256) as u8).collect();
        let labels = (0..n as u32).map(|i| i % 10).collect();
        Arc::new(Images::from_memory(2, 2, 3, pixels, labels).expect("lengths agree"))
    }

    fn normalizer() -> Arc<Normalizer> {
        Arc::new(Normalizer::new(&Normalize::known("cifar10").expect("known"), 2, 2, 3).expect("sizes agree"))
    }

    fn augment() -> Augment {
        Augment { pad_crop: 1, flip: Flip::Random, cutout: 1, ..Augment::default() }
    }

    fn loader(n: usize, batch: usize, drop_last: bool, first_step: u64) -> Loader {
        let options = LoaderOptions { batch, seed: 7, drop_last, first_step, repeats: RepeatedAugmentation::default() };
        Loader::new(images(n), normalizer(), augment(), options).expect("a thread")
    }

    #[test]
    fn an_epoch_sees_every_image_once_and_the_next_in_another_order() {
        let mut loader = loader(10, 4, false, 0);
        assert_eq!(loader.steps_per_epoch(), 3);
        let mut epoch = || (0..3).flat_map(|_| loader.next().expect("in memory").indices).collect::<Vec<u32>>();
        let (first, second) = (epoch(), epoch());
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert_eq!(order, (0..10).collect::<Vec<u32>>());
        }
    }

    #[test]
    fn repeats_of_an_image_share_a_step_but_not_a_batch_and_differ() {
        let repeats = RepeatedAugmentation { times: 2, micro_batches: 4 };
        let options = LoaderOptions { batch: 3, seed: 7, drop_last: true, first_step: 0, repeats };
        let mut loader = Loader::new(images(30), normalizer(), augment(), options).expect("a thread");
        // 30 images are two steps of 12.
        assert_eq!(loader.steps_per_epoch(), 8);
        let order = epoch_order(30, 7, 0);
        for step in 0..2 {
            let mut seen: Vec<u32> = Vec::new();
            let mut changed = 0;
            let batches: Vec<Batch> = (0..4).map(|_| loader.next().expect("in memory")).collect();
            for batch in &batches {
                let mut indices = batch.indices.clone();
                seen.extend(&indices);
                indices.sort_unstable();
                indices.dedup();
                assert_eq!(indices.len(), 3, "no image occurs twice in a batch");
            }
            for (a, b) in [(0, 1), (2, 3)] {
                assert_eq!(batches[a].indices, batches[b].indices, "as RASampler distributes them");
                changed += usize::from(batches[a].pixels != batches[b].pixels);
            }
            assert_eq!(changed, 2, "other shifts and flips");
            seen.sort_unstable();
            let mut twice: Vec<u32> = order[6 * step..6 * step + 6].iter().flat_map(|&i| [i, i]).collect();
            twice.sort_unstable();
            assert_eq!(seen, twice);
        }
        // A resumed loader continues with the same batches.
        let mut resumed = Loader::new(images(30), normalizer(), augment(), LoaderOptions { first_step: 7, ..options })
            .expect("a thread");
        let mut whole = Loader::new(images(30), normalizer(), augment(), options).expect("a thread");
        (0..7).for_each(|_| drop(whole.next().expect("in memory")));
        (0..5).for_each(|_| assert_eq!(whole.next().expect("in memory"), resumed.next().expect("in memory")));
    }

    #[test]
    fn the_rest_of_an_epoch_is_dropped_unless_there_is_no_full_batch() {
        let mut some = loader(10, 4, true, 0);
        assert_eq!(some.steps_per_epoch(), 2);
        assert!((0..6).all(|_| some.next().expect("in memory").len() == 4));
        let mut few = loader(3, 4, true, 0);
        assert_eq!((few.steps_per_epoch(), few.next().expect("in memory").len()), (1, 3));
    }

    #[test]
    fn a_resumed_loader_continues_with_the_same_batches() {
        let (mut whole, mut resumed) = (loader(50, 8, true, 0), loader(50, 8, true, 9));
        (0..9).for_each(|_| drop(whole.next().expect("in memory")));
        for _ in 0..8 {
            assert_eq!(whole.next().expect("in memory"), resumed.next().expect("in memory"));
        }
    }

    #[test]
    fn test_batches_have_all_images_in_order() {
        let (images, normalizer) = (images(10), normalizer());
        let all: Vec<Batch> = batches(&images, &normalizer, 4).collect::<Result<_>>().expect("in memory");
        assert_eq!(all.iter().map(Batch::len).collect::<Vec<_>>(), [4, 4, 2]);
        assert_eq!(all.iter().flat_map(|b| b.indices.clone()).collect::<Vec<_>>(), (0..10).collect::<Vec<u32>>());
        assert_eq!(all[2].labels, [8, 9]);
        let mut expected = [0.0; 12];
        normalizer.apply(&images.pixels(9).expect("in memory"), &mut expected);
        assert_eq!(all[2].pixels[12..], expected);
    }

    #[test]
    fn an_empty_batch_and_a_normaliser_of_another_size_fail() {
        let options = LoaderOptions {
            batch: 0,
            seed: 0,
            drop_last: true,
            first_step: 0,
            repeats: RepeatedAugmentation::default(),
        };
        let error = Loader::new(images(3), normalizer(), augment(), options).expect_err("a batch of nothing");
        assert_eq!(error.hint(), Some("train.batch must be at least 1"));
        assert!(batches(&images(3), &normalizer(), 0).next().expect("an item").is_err());
        assert_eq!(batches(&images(0), &normalizer(), 4).count(), 0);
        let other = Normalizer::new(&Normalize::known("cifar10").expect("known"), 4, 4, 3).expect("sizes agree");
        let error = Loader::new(images(3), Arc::new(other), augment(), LoaderOptions { batch: 1, ..options });
        assert!(error.expect_err("another size").to_string().contains("4x4x3"));
    }

    #[test]
    fn dropping_an_unread_loader_ends_its_thread() {
        drop(loader(100, 10, true, 0));
    }

    #[test]
    fn random_scales_start_from_original_images_and_resume_with_the_same_batches() {
        let augment = Augment { crop: Crop::Scale([2, 5]), ..Augment::default() };
        let start = |first_step| {
            let options = LoaderOptions {
                batch: 4,
                seed: 3,
                drop_last: true,
                first_step,
                repeats: RepeatedAugmentation::default(),
            };
            Loader::new(images(12), normalizer(), augment, options).expect("threads")
        };
        let (mut whole, mut resumed) = (start(0), start(2));
        let first = whole.next().expect("in memory");
        whole.next().expect("in memory");
        for _ in 0..4 {
            assert_eq!(whole.next().expect("in memory"), resumed.next().expect("in memory"));
        }
        assert_eq!((first.pixels.len(), first.size), (4 * 12, [2, 2, 3]));
        let small = Augment { crop: Crop::Scale([1, 5]), ..augment };
        let options = LoaderOptions {
            batch: 4,
            seed: 3,
            drop_last: true,
            first_step: 0,
            repeats: RepeatedAugmentation::default(),
        };
        assert!(Loader::new(images(12), normalizer(), small, options).is_err());
        // With crops the normaliser gives their size; without, it must be the images' own.
        let larger = Normalizer::new(&Normalize::known("cifar10").expect("known"), 3, 3, 3).expect("sizes agree");
        let larger = Arc::new(larger);
        let cut = Augment { crop: Crop::Resized { area: [0.5, 1.0], aspect: [1.0, 1.0] }, ..Augment::default() };
        let batch = Loader::new(images(12), Arc::clone(&larger), cut, options).expect("threads").next();
        assert_eq!(batch.expect("in memory").size, [3, 3, 3]);
        assert!(Loader::new(images(12), larger, Augment::default(), options).is_err());
    }
}
