//! Downloading of an archive over HTTP: mirrors in turn, resumed where the last attempt stopped,
//! and verified at the end.
//!
//! Bytes go to `FILE.part`. After a mirror that stalls, ends early or answers wrongly, the next one
//! continues at the same byte (`Range`); a mirror that delivered something gets another attempt
//! first. Only a file whose digests agree gets its final name.

use super::catalogue::Archive;
use super::digest::verify;
use super::progress::Progress;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Attempts at one mirror, as long as each delivers something.
const MAX_ATTEMPTS: usize = 4;

/// How long to wait for a mirror.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    /// For a connection, and for the headers of a response.
    answer: Duration,
    /// For the next bytes of the body.
    stall: Duration,
}

const TIMEOUTS: Timeouts = Timeouts { answer: Duration::from_secs(15), stall: Duration::from_secs(20) };

/// Downloads `archive` into `folder`.
///
/// # Errors
/// Returns what went wrong at each mirror.
pub(crate) fn download(archive: &Archive, folder: &Path, progress: &mut dyn Progress) -> Result<PathBuf, Vec<String>> {
    download_within(archive, folder, TIMEOUTS, progress)
}

/// Downloads with the given timeouts.
fn download_within(
    archive: &Archive,
    folder: &Path,
    timeouts: Timeouts,
    progress: &mut dyn Progress,
) -> Result<PathBuf, Vec<String>> {
    let part = folder.join(format!("{}.part", archive.file));
    let mut failures = Vec::new();
    for url in archive.mirrors {
        for _ in 0..MAX_ATTEMPTS {
            let before = length(&part);
            let outcome = resume(url, archive, &part, timeouts, progress).and_then(|()| {
                verify(archive, &part).inspect_err(|_| {
                    // The length is right and some bytes are wrong, so no part is usable.
                    let _ = fs::remove_file(&part);
                })
            });
            let why = match outcome {
                Ok(()) => {
                    let done = folder.join(archive.file);
                    fs::rename(&part, &done).map_err(|e| vec![format!("cannot write {}: {e}", done.display())])?;
                    return Ok(done);
                }
                Err(why) => format!("{url}: {why}"),
            };
            progress.note(&why);
            failures.push(why);
            if length(&part) <= before {
                break;
            }
        }
    }
    Err(failures)
}

/// Returns a file's length, 0 if there is none.
fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |m| m.len())
}

/// Appends the missing bytes to `part`.
fn resume(
    url: &str,
    archive: &Archive,
    part: &Path,
    timeouts: Timeouts,
    progress: &mut dyn Progress,
) -> Result<(), String> {
    let mut have = length(part);
    if have > archive.bytes {
        fs::remove_file(part).map_err(|e| e.to_string())?;
        have = 0;
    }
    if have == archive.bytes {
        return Ok(());
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_resolve(Some(timeouts.answer))
        .timeout_connect(Some(timeouts.answer))
        .timeout_recv_response(Some(timeouts.answer))
        .timeout_per_read(Some(timeouts.stall))
        .http_status_as_error(false)
        .user_agent(concat!("residual/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    // Byte positions refer to the file itself, not to a compressed transfer.
    let mut request = agent.get(url).header("Accept-Encoding", "identity");
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = request.call().map_err(|e| e.to_string())?;
    let resumed = response.headers().get("Content-Range").and_then(|v| v.to_str().ok()).map(String::from);
    match (response.status().as_u16(), resumed) {
        (200, _) => have = 0,
        (206, Some(range)) if range.starts_with(&format!("bytes {have}-")) => {}
        (206, _) => return Err("it sent another part of the file than was requested".into()),
        (status, _) => return Err(format!("status {status}")),
    }
    progress.start(&format!("fetching {}", archive.file), archive.bytes);
    progress.advance(have);
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(part);
    let mut file = file.map_err(|e| format!("cannot write {}: {e}", part.display()))?;
    file.set_len(have).map_err(|e| format!("cannot write {}: {e}", part.display()))?;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(|e| e.to_string())?;
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = body.read(&mut buffer).map_err(|e| format!("after {have} of {} bytes: {e}", archive.bytes))?;
        if n == 0 {
            break;
        }
        have += n as u64;
        if have > archive.bytes {
            let _ = fs::remove_file(part);
            return Err(format!("it sends more than the {} bytes of {}", archive.bytes, archive.file));
        }
        file.write_all(&buffer[..n]).map_err(|e| format!("cannot write {}: {e}", part.display()))?;
        progress.advance(n as u64);
    }
    match have == archive.bytes {
        true => file.sync_all().map_err(|e| format!("cannot write {}: {e}", part.display())),
        false => Err(format!("it ended after {have} of {} bytes", archive.bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use md5::{Digest, Md5};
    use residual::numbers::hex;
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    /// What a test mirror does with a request.
    #[derive(Debug, Clone, Copy)]
    enum Mirror {
        /// Sends the requested bytes.
        Good,
        /// Sends this many bytes, then stalls.
        Stalls(usize),
        /// Sends this many bytes, then closes the connection.
        Ends(usize),
        /// Sends other bytes.
        Wrong,
        /// Has no such file.
        Missing,
        /// Ignores ranges and sends the whole file.
        NoRanges,
    }

    /// Serves `content` at a free port; returns the URL and the log of `Range` headers.
    fn serve(kind: Mirror, content: &[u8]) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/images.bin", listener.local_addr().expect("bound"));
        let (content, log) = (content.to_vec(), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&log);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                let (content, seen) = (content.clone(), Arc::clone(&seen));
                std::thread::spawn(move || answer(kind, stream, &content, &seen));
            }
        });
        (url, log)
    }

    /// Answers one request.
    fn answer(kind: Mirror, mut stream: TcpStream, content: &[u8], seen: &Mutex<Vec<String>>) {
        let mut range = String::new();
        for line in BufReader::new(stream.try_clone().expect("a handle")).lines() {
            let line = line.expect("text");
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: ") {
                range = value.to_string();
            }
        }
        seen.lock().expect("not poisoned").push(range.clone());
        let asked = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
        let from: usize = if matches!(kind, Mirror::NoRanges) { 0 } else { asked };
        let mut body = content[from..].to_vec();
        let status = match (kind, from) {
            (Mirror::Missing, _) => "404 Not Found",
            (_, 0) => "200 OK",
            _ => "206 Partial Content",
        };
        let (length, total) = (body.len(), content.len());
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n");
        if from > 0 {
            head += &format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1);
        }
        match kind {
            Mirror::Stalls(n) | Mirror::Ends(n) => body.truncate(n),
            Mirror::Wrong => body.iter_mut().for_each(|b| *b ^= 1),
            _ => {}
        }
        let _ = stream.write_all(format!("{head}\r\n").as_bytes());
        let _ = stream.write_all(&body);
        if matches!(kind, Mirror::Stalls(_)) {
            std::thread::sleep(Duration::from_secs(5));
        }
    }

    fn content() -> Vec<u8> {
        (0..200_000u64).map(|i| ((i * i) >> 7) as u8).collect()
    }

    /// Downloads from `mirrors`; returns the result and the names of the files in the folder.
    fn run(mirrors: &[&str], already: Option<&[u8]>) -> (Result<Vec<u8>, Vec<String>>, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let (content, digest) = (content(), hex(&Md5::digest(content())));
        let bytes = content.len() as u64;
        let archive = Archive { file: "images.bin", bytes, md5: &digest, sha256: None, folder: "", mirrors };
        if let Some(bytes) = already {
            fs::write(folder.path().join("images.bin.part"), bytes).expect("writable");
        }
        let timeouts = Timeouts { answer: Duration::from_secs(10), stall: Duration::from_millis(700) };
        let result = download_within(&archive, folder.path(), timeouts, &mut ());
        let result = result.map(|path| fs::read(path).expect("it is there"));
        let entries = fs::read_dir(folder.path()).expect("a folder").map(|e| e.expect("an entry").file_name());
        (result, entries.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn a_complete_download_gets_its_final_name() {
        let (url, _) = serve(Mirror::Good, &content());
        let (result, files) = run(&[&url], None);
        assert_eq!((result, files), (Ok(content()), vec!["images.bin".to_string()]));
    }

    #[test]
    fn a_partial_download_is_resumed_where_it_stopped() {
        let (url, log) = serve(Mirror::Good, &content());
        let (result, _) = run(&[&url], Some(&content()[..70_000]));
        assert_eq!(result, Ok(content()));
        assert_eq!(*log.lock().expect("not poisoned"), ["bytes=70000-"]);
    }

    #[test]
    fn after_a_stalled_mirror_the_next_one_continues_at_the_same_byte() {
        let (stalled, _) = serve(Mirror::Stalls(0), &content());
        let (good, _) = serve(Mirror::Good, &content());
        assert_eq!(run(&[&stalled, &good], None).0, Ok(content()));
        // Four attempts, each of which brings a little, do not exhaust the file.
        let (stalled, first) = serve(Mirror::Stalls(30_000), &content());
        let (good, second) = serve(Mirror::Good, &content());
        assert_eq!(run(&[&stalled, &good], None).0, Ok(content()));
        let (first, second) = (first.lock().expect("not poisoned"), second.lock().expect("not poisoned"));
        let resumes = |range: &String| range.starts_with("bytes=") && range != "bytes=0-";
        assert!(first.len() == 4 && first[0].is_empty() && first[1..].iter().all(resumes), "{first:?}");
        assert!(!second.is_empty() && second.iter().all(resumes), "{second:?}");
    }

    #[test]
    fn a_connection_that_ends_early_is_resumed() {
        let (url, log) = serve(Mirror::Ends(60_000), &content());
        assert_eq!(run(&[&url], None).0, Ok(content()));
        let expected = ["", "bytes=60000-", "bytes=120000-", "bytes=180000-"];
        assert_eq!(*log.lock().expect("not poisoned"), expected);
    }

    #[test]
    fn wrong_bytes_are_discarded_and_the_next_mirror_starts_over() {
        let (wrong, _) = serve(Mirror::Wrong, &content());
        let (good, log) = serve(Mirror::Good, &content());
        assert_eq!(run(&[&wrong, &good], None).0, Ok(content()));
        assert_eq!(*log.lock().expect("not poisoned"), [""]);
        let (result, files) = run(&[&wrong], None);
        assert!(result.expect_err("wrong bytes")[0].contains("the MD5 of images.bin must be "));
        assert!(files.is_empty(), "{files:?}");
    }

    #[test]
    fn a_mirror_without_ranges_starts_over() {
        let (url, _) = serve(Mirror::NoRanges, &content());
        assert_eq!(run(&[&url], Some(&content()[..70_000])).0, Ok(content()));
    }

    #[test]
    fn every_mirror_that_failed_is_named_with_its_reason() {
        let (missing, _) = serve(Mirror::Missing, &content());
        let gone = "http://127.0.0.1:1/images.bin";
        let failures = run(&[&missing, gone], None).0.expect_err("nobody has it");
        assert_eq!(failures[0], format!("{missing}: status 404"));
        assert!(failures[1].starts_with(gone), "{failures:?}");
    }
}
