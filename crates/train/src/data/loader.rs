//! Batches, prepared on a background thread while the trainer computes.
//!
//! A batch is a pure function of (seed, step), so a run resumed at any step goes on with the batches it would have had.
//! At most [`AHEAD`] batches wait; the network takes their pixels over without a copy. Images in memory take well
//! under a millisecond a batch and stay on the one thread; images decoded from files are shared among threads of the
//! loader's own, so that a kernel never waits behind a JPEG.

use super::augment::{Augment, Draws};
use super::images::Images;
use super::sample::shuffled;
use crate::error::{Error, Result};
use crate::random::{Purpose, stream};
use rayon::prelude::*;
use residual::image::Normalizer;
use residual::image::ResizeSpec;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Batches that wait for the trainer: one would do if every batch took the same time.
const AHEAD: usize = 3;

/// Images ready for the net.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Normalised, `[n, h, w, c]`.
    pub pixels: Vec<f32>,
    /// Height, width and channels of each.
    pub size: [usize; 3],
    /// The class of each, `[n]`.
    pub labels: Vec<u32>,
    /// Where each is in its [`Images`], `[n]`.
    pub indices: Vec<u32>,
    /// The pass over the training images that it belongs to, counted from 0; 0 in testing.
    pub epoch: u64,
}

impl Batch {
    /// Images of the batch: n.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// How a [`Loader`] goes through its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Images of a batch; all of them where there are fewer.
    pub batch: usize,
    /// The run's seed.
    pub seed: u64,
    /// Leave out the rest of an epoch that does not fill a batch.
    pub drop_last: bool,
    /// The step that the first batch belongs to: 0, or where a run goes on.
    pub first_step: u64,
    /// How often an image is seen in one optimiser step.
    pub repeats: Repeats,
}

/// Repeated augmentation (Hoffer et al. 2020; torchvision's `RASampler`): each image stands several times in an optimiser
/// step, varied anew each time, and an epoch, as long as ever, goes through as many times fewer images. The repeats are dealt out to the
/// batches whose gradients are averaged into the step, so that none of them holds an image twice where there are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeats {
    /// How often; 1 is once.
    pub times: usize,
    /// Batches of an optimiser step.
    pub portions: usize,
}

impl Default for Repeats {
    fn default() -> Self {
        Self { times: 1, portions: 1 }
    }
}

/// An image of a batch: its number, and which of its repeats it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pick {
    index: u32,
    repeat: u64,
}

/// The order in which an epoch goes through `n` training images.
pub fn epoch_order(n: usize, seed: u64, epoch: u64) -> Vec<u32> {
    shuffled(n, &mut stream(seed, Purpose::Shuffle, epoch, 0))
}

/// Endless training batches, epoch after epoch.
#[derive(Debug)]
pub struct Loader {
    /// `None` once dropped: closing it is what stops the thread.
    ready: Option<Receiver<Result<Batch>>>,
    thread: Option<JoinHandle<()>>,
    steps_per_epoch: u64,
    waited: Duration,
}

impl Loader {
    /// Starts preparing batches of the normaliser's size, which may be another than the images' where `augment` crops
    /// them.
    ///
    /// # Errors
    /// Where there are no images, the batch is 0, the normaliser is for images of another size, or no thread can be had.
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
        let fit = ResizeSpec { height, width, ..images.fit() };
        let (n, batch) = (images.len(), options.batch.min(images.len()));
        let Repeats { times, portions } = options.repeats;
        let steps_per_epoch = match (options.drop_last, times) {
            (false, _) => n.div_ceil(batch),
            // Whole optimiser steps, as schedules and events count epochs; of a set smaller than a step, all of it.
            (true, 0 | 1) if n / batch < portions => n / batch,
            (true, 0 | 1) => n / batch / portions * portions,
            // Their batches are dealt out together.
            (true, _) => (n / (batch * portions)).max(1) * portions,
        } as u64;
        let (send, ready) = sync_channel(AHEAD);
        let options = LoaderOptions { batch, ..options };
        let work = Work { images, normalizer, augment, fit, options, steps_per_epoch };
        let thread = std::thread::Builder::new()
            .name("loader".into())
            .spawn(move || work.run(&send))
            .map_err(|e| Error::data(format!("cannot start the thread that prepares batches: {e}")))?;
        Ok(Self { ready: Some(ready), thread: Some(thread), steps_per_epoch, waited: Duration::ZERO })
    }

    /// The batch of the next step.
    ///
    /// # Errors
    /// Where an image that is decoded on demand cannot be read.
    #[expect(clippy::should_implement_trait, reason = "it never ends and it fails: a Result, not an Option")]
    pub fn next(&mut self) -> Result<Batch> {
        let began = Instant::now();
        let batch = self.ready.as_ref().and_then(|ready| ready.recv().ok());
        self.waited += began.elapsed();
        batch.unwrap_or_else(|| Err(Error::data("the thread that prepares batches has stopped")))
    }

    /// Steps that an epoch takes.
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    /// Time that [`next`](Self::next) has waited for batches so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.ready = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was already reported by `next`.
            let _ = thread.join();
        }
    }
}

fn check_batch(images: &Images, batch: usize) -> Result<()> {
    if images.is_empty() {
        return Err(Error::data("there are no images to make batches of"));
    }
    if batch == 0 {
        return Err(Error::usage("a batch of 0 images trains nothing").with_hint("train.batch must be at least 1"));
    }
    Ok(())
}

fn check(images: &Images, normalizer: &Normalizer, batch: usize) -> Result<()> {
    check_batch(images, batch)?;
    let (p, n) = (images, normalizer);
    if (p.height(), p.width(), p.channels()) != (n.height(), n.width(), n.channels()) {
        return Err(Error::data(format!(
            "normalisation is for {}x{}x{} and the images are {}x{}x{}",
            n.height(),
            n.width(),
            n.channels(),
            p.height(),
            p.width(),
            p.channels()
        )));
    }
    Ok(())
}

/// What the background thread owns.
struct Work {
    images: Arc<Images>,
    normalizer: Arc<Normalizer>,
    augment: Augment,
    /// The way to the normaliser's size.
    fit: ResizeSpec,
    options: LoaderOptions,
    steps_per_epoch: u64,
}

impl Work {
    fn run(&self, ready: &SyncSender<Result<Batch>>) {
        // Without threads of its own it still works, one image after the other.
        let pool = match self.images.in_memory() && !self.augment.is_slow() {
            true => None,
            // As many as compute: a user who asks for one thread means all of the work.
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
            let picks = picks(&order.1, (step % self.steps_per_epoch) as usize, &self.options);
            let batch = match &pool {
                Some(pool) => pool.install(|| self.batch(&picks, epoch, true)),
                None => self.batch(&picks, epoch, false),
            };
            let failed = batch.is_err();
            if ready.send(batch).is_err() || failed {
                return;
            }
        }
    }

    fn batch(&self, picks: &[Pick], epoch: u64, parallel: bool) -> Result<Batch> {
        let ResizeSpec { height, width, channels, .. } = self.fit;
        let indices = picks.iter().map(|pick| pick.index).collect();
        let mut batch = Batch { epoch, ..blank(&self.images, indices, [height, width, channels]) };
        let stride = height * width * channels;
        let prepare = |(out, &Pick { index, repeat }): (&mut [f32], &Pick)| {
            // Image numbers have 32 bits: the repeats of one draw as images of their own would.
            let draws = Draws { seed: self.options.seed, epoch, image: u64::from(index) | repeat << 32 };
            let pixels = self.augment.pixels(&self.images, index as usize, &self.fit, draws)?;
            self.augment.apply(&self.normalizer, &pixels, draws, out);
            Ok(())
        };
        match parallel {
            true => batch.pixels.par_chunks_exact_mut(stride).zip(picks).try_for_each(prepare),
            false => batch.pixels.chunks_exact_mut(stride).zip(picks).try_for_each(prepare),
        }?;
        Ok(batch)
    }
}

/// The images of batch `step` of an epoch that goes through them in `order`.
fn picks(order: &[u32], step: usize, options: &LoaderOptions) -> Vec<Pick> {
    let Repeats { times, portions } = options.repeats;
    if times <= 1 {
        let start = step * options.batch;
        let indices = &order[start..(start + options.batch).min(order.len())];
        return indices.iter().map(|&index| Pick { index, repeat: 0 }).collect();
    }
    let (group, portion) = (step / portions, step % portions);
    let pick = |i: usize| {
        let place = (group * options.batch + i) * portions + portion;
        Pick { index: order[place / times % order.len()], repeat: (place % times) as u64 }
    };
    (0..options.batch).map(pick).collect()
}

/// The batch of `indices`, its pixels still to be written.
fn blank(images: &Images, indices: Vec<u32>, size: [usize; 3]) -> Batch {
    let labels = indices.iter().map(|&i| images.label(i as usize) as u32).collect();
    Batch { pixels: vec![0.0; indices.len() * size.iter().product::<usize>()], size, labels, indices, epoch: 0 }
}

/// Batches for testing: every image once, in order, unchanged but for normalisation; the last batch may be smaller.
///
/// # Errors
/// A batch of 0, or a normaliser for images of another size, is the first and only item. No images: no items.
pub fn batches<'a>(
    images: &'a Images,
    normalizer: &'a Normalizer,
    batch: usize,
) -> impl Iterator<Item = Result<Batch>> + 'a {
    let mut refused = match images.is_empty() {
        true => None,
        false => check(images, normalizer, batch).err(),
    };
    let end = if refused.is_some() { 0 } else { images.len() as u32 };
    let starts = (0..end).step_by(batch.max(1));
    let prepared = starts.map(move |start| {
        let indices: Vec<u32> = (start..end.min(start + batch as u32)).collect();
        let mut batch = blank(images, indices, [images.height(), images.width(), images.channels()]);
        batch.pixels.par_chunks_exact_mut(images.stride()).zip(&batch.indices).try_for_each(|(out, &i)| {
            normalizer.apply(images.pixels(i as usize)?.as_ref(), out);
            Ok::<(), Error>(())
        })?;
        Ok(batch)
    });
    std::iter::from_fn(move || refused.take()).map(Err).chain(prepared)
}

#[cfg(test)]
mod tests {
    use super::super::augment::{Crop, Flip};
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
        let options = LoaderOptions { batch, seed: 7, drop_last, first_step, repeats: Repeats::default() };
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
    fn repeats_of_an_image_share_a_step_not_a_batch_and_are_varied_each_for_itself() {
        let repeats = Repeats { times: 2, portions: 4 };
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
                assert_eq!(indices.len(), 3, "no image twice in a batch");
            }
            for (a, b) in [(0, 1), (2, 3)] {
                assert_eq!(batches[a].indices, batches[b].indices, "as RASampler deals them out");
                changed += usize::from(batches[a].pixels != batches[b].pixels);
            }
            assert_eq!(changed, 2, "other shifts and flips");
            seen.sort_unstable();
            let mut twice: Vec<u32> = order[6 * step..6 * step + 6].iter().flat_map(|&i| [i, i]).collect();
            twice.sort_unstable();
            assert_eq!(seen, twice);
        }
        // What comes after a stop is what would have come.
        let mut resumed = Loader::new(images(30), normalizer(), augment(), LoaderOptions { first_step: 7, ..options })
            .expect("a thread");
        let mut whole = Loader::new(images(30), normalizer(), augment(), options).expect("a thread");
        (0..7).for_each(|_| drop(whole.next().expect("in memory")));
        (0..5).for_each(|_| assert_eq!(whole.next().expect("in memory"), resumed.next().expect("in memory")));
    }

    #[test]
    fn the_rest_of_an_epoch_is_dropped_unless_it_is_all_there_is() {
        let mut some = loader(10, 4, true, 0);
        assert_eq!(some.steps_per_epoch(), 2);
        assert!((0..6).all(|_| some.next().expect("in memory").len() == 4));
        let mut few = loader(3, 4, true, 0);
        assert_eq!((few.steps_per_epoch(), few.next().expect("in memory").len()), (1, 3));
    }

    #[test]
    fn a_loader_that_starts_in_the_middle_goes_on_as_the_first_would_have() {
        let (mut whole, mut resumed) = (loader(50, 8, true, 0), loader(50, 8, true, 9));
        (0..9).for_each(|_| drop(whole.next().expect("in memory")));
        for _ in 0..8 {
            assert_eq!(whole.next().expect("in memory"), resumed.next().expect("in memory"));
        }
    }

    #[test]
    fn testing_goes_through_all_images_in_order() {
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
    fn batches_that_cannot_be_made_are_refused() {
        let options = LoaderOptions { batch: 0, seed: 0, drop_last: true, first_step: 0, repeats: Repeats::default() };
        let error = Loader::new(images(3), normalizer(), augment(), options).expect_err("a batch of nothing");
        assert_eq!(error.hint(), Some("train.batch must be at least 1"));
        assert!(batches(&images(3), &normalizer(), 0).next().expect("an item").is_err());
        assert_eq!(batches(&images(0), &normalizer(), 4).count(), 0);
        let other = Normalizer::new(&Normalize::known("cifar10").expect("known"), 4, 4, 3).expect("sizes agree");
        let error = Loader::new(images(3), Arc::new(other), augment(), LoaderOptions { batch: 1, ..options });
        assert!(error.expect_err("another size").to_string().contains("4x4x3"));
    }

    #[test]
    fn dropping_a_loader_that_nobody_reads_ends_its_thread() {
        drop(loader(100, 10, true, 0));
    }

    #[test]
    fn random_scales_take_images_as_they_were_and_resume_alike() {
        let augment = Augment { crop: Crop::Scale([2, 5]), ..Augment::default() };
        let start = |first_step| {
            let options = LoaderOptions { batch: 4, seed: 3, drop_last: true, first_step, repeats: Repeats::default() };
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
        let options = LoaderOptions { batch: 4, seed: 3, drop_last: true, first_step: 0, repeats: Repeats::default() };
        assert!(Loader::new(images(12), normalizer(), small, options).is_err());
        // Where windows are cut, the normaliser says their size; elsewhere it must be the images' own.
        let larger = Normalizer::new(&Normalize::known("cifar10").expect("known"), 3, 3, 3).expect("sizes agree");
        let larger = Arc::new(larger);
        let cut = Augment { crop: Crop::Resized { area: [0.5, 1.0], aspect: [1.0, 1.0] }, ..Augment::default() };
        let batch = Loader::new(images(12), Arc::clone(&larger), cut, options).expect("threads").next();
        assert_eq!(batch.expect("in memory").size, [3, 3, 3]);
        assert!(Loader::new(images(12), larger, Augment::default(), options).is_err());
    }
}
