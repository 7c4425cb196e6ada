//! Event files for TensorBoard, beside a run's other metrics: a [`Sink`] that writes scalars as
//! they happen.
//!
//! A file is a sequence of records in TFRecord's framing; each holds an `Event` of
//! `tensorflow/core/util/event.proto` (file version 2). A resumed run begins a new file whose first
//! record names its step: TensorBoard then discards what earlier files hold of that step and later
//! ones, as `RunFolder::rewind` does in `metrics.jsonl`.

use super::event::{Event, Sink};
use crate::error::{Error, Result};
use crate::protobuf::Message;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// `SessionLog.SessionStatus`: tells TensorBoard to discard events from this step on.
const START: i64 = 1;

/// A writer of one session's event file. [`Event::Start`] opens it in the run folder.
#[derive(Debug, Default)]
pub struct TensorBoard {
    file: Option<(PathBuf, File)>,
    failure: Option<Error>,
}

impl TensorBoard {
    /// Returns the first error, if there was one: a failed write does not stop a run.
    ///
    /// # Errors
    /// An event could not be written.
    pub fn finish(self) -> Result<()> {
        self.failure.map_or(Ok(()), Err)
    }

    fn open(&mut self, folder: &Path, step: u64) -> Result<()> {
        let path = folder.join(file_name(folder, now() as u64)?);
        let file = File::options().create_new(true).append(true).open(&path);
        self.file = Some((path.clone(), file.map_err(|error| Error::io("write", &path, error))?));
        self.write(&stamped(step).bytes(3, b"brain.Event:2"))?;
        // The first step in this file.
        self.write(&stamped(step + 1).message(7, &Message::default().int(1, START)))
    }

    fn write(&mut self, event: &Message) -> Result<()> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        file.write_all(&record(&event.0)).map_err(|error| Error::io("write", path, error))
    }

    /// Writes one point of each of several curves.
    fn scalars(&mut self, step: u64, points: &[(&str, Option<f64>)]) -> Result<()> {
        let there = points.iter().filter_map(|(tag, value)| value.map(|value| (tag, value)));
        let summary = there.fold(Message::default(), |summary, (tag, value)| {
            summary.message(1, &Message::default().bytes(1, tag.as_bytes()).float(2, value as f32))
        });
        self.write(&stamped(step).message(5, &summary))
    }

    fn take(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Start { step, path, .. } => self.open(path, *step),
            Event::Step { step, loss, lr } => {
                self.scalars(*step, &[("loss/batch", Some(*loss)), ("learning_rate", Some(*lr))])
            }
            Event::Epoch {
                step,
                train_loss,
                train_top1_error,
                val_loss,
                val_top1_error,
                images_per_second,
                data_wait,
                ..
            } => self.scalars(
                *step,
                &[
                    ("loss/train", Some(*train_loss)),
                    ("loss/validation", *val_loss),
                    ("top1_error/train", Some(*train_top1_error)),
                    ("top1_error/validation", *val_top1_error),
                    ("speed/images_per_second", Some(*images_per_second)),
                    ("speed/data_wait", Some(*data_wait)),
                ],
            ),
            Event::Done { step, test_top1_error, test_top5_error, .. } => {
                self.scalars(*step, &[("top1_error/test", *test_top1_error), ("top5_error/test", *test_top5_error)])
            }
            Event::Checkpoint { .. } | Event::Warning { .. } | Event::Failed { .. } => Ok(()),
        }
    }
}

impl Sink for TensorBoard {
    fn event(&mut self, event: &Event) {
        if self.failure.is_none() {
            self.failure = self.take(event).err();
        }
    }
}

/// Returns a name that sorts after those of all event files in `folder`, even within a second or
/// after the clock was set back: TensorBoard reads a folder's files in the order of their names.
fn file_name(folder: &Path, now: u64) -> Result<String> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))?;
    let second = |name: &str| name.strip_prefix("events.out.tfevents.")?.split('.').next()?.parse::<u64>().ok();
    let latest = entries.filter_map(|entry| second(entry.ok()?.file_name().to_str()?)).max();
    let second = latest.map_or(now, |latest| now.max(latest + 1));
    Ok(format!("events.out.tfevents.{second:010}.residual"))
}

/// Returns the seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Returns an `Event` of the current time.
fn stamped(step: u64) -> Message {
    Message::default().double(1, now()).int(2, step as i64)
}

/// Frames a TFRecord: the length and its checksum, the bytes and theirs.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), bytes, &checksum(bytes)].concat()
}

/// Returns TFRecord's masked CRC-32C: data that contains CRCs would weaken a plain one.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_those_of_tensorboard_s_own_writer() {
        // RecordWriter of tensorboard 2.21 on Event(wall_time=1.5, step=3,
        // file_version="brain.Event:2").
        let event = Message::default().double(1, 1.5).int(2, 3).bytes(3, b"brain.Event:2");
        let mut expected = vec![0x1a, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x9b, 0xd8, 0x2d];
        expected.extend([0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0x10, 0x03, 0x1a, 0x0d]);
        expected.extend(b"brain.Event:2");
        expected.extend([0xe3, 0xc0, 0xb9, 0x5c]);
        assert_eq!(record(&event.0), expected);
        // RFC 3720, B.4: 32 bytes of zeros are 0x8a9136aa.
        assert_eq!(checksum(&[0; 32]), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes());
    }

    #[test]
    fn files_of_one_second_are_read_in_the_order_of_their_creation() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut names = Vec::new();
        for now in [1_700_000_000, 1_700_000_000, 1_600_000_000] {
            let name = file_name(folder.path(), now).expect("a folder that can be read");
            std::fs::write(folder.path().join(&name), "").expect("a file");
            names.push(name);
        }
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }
}
