//! The report in a real browser: opened from disk on a phone and on a desk, in both colour schemes.
//!
//! Needs Chromium: `$CHROMIUM`, or one on the path. The tests are ignored unless they are asked
//! for.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs before anything else of the page and leaves what it saw in an attribute of the document.
const PROBE: &str = r#"<script>
const seen = { errors: [] };
addEventListener("error", (e) => seen.errors.push(String(e.message)));
addEventListener("securitypolicyviolation", (e) => seen.errors.push("blocked " + e.blockedURI));
console.error = (...args) => seen.errors.push(args.join(" "));
addEventListener("load", () => {
  const root = document.documentElement;
  seen.requests = performance.getEntriesByType("resource").map((e) => e.name).filter((name) => !name.startsWith("data:"));
  seen.width = innerWidth;
  seen.overflow = root.scrollWidth - innerWidth;
  seen.dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const light = (colour) => colour.match(/\d+/g).slice(0, 3).reduce((sum, v) => sum + Number(v), 0) / 3;
  seen.paper = light(getComputedStyle(document.body).backgroundColor);
  seen.ink = light(getComputedStyle(document.body).color);
  const plot = document.querySelector(".plot");
  plot.focus();
  const readout = plot.closest("figure").querySelector(".legend");
  const last = readout.textContent;
  plot.dispatchEvent(new KeyboardEvent("keydown", { key: "Home" }));
  seen.keyboard = readout.textContent !== last && /\d/.test(readout.textContent);
  const shown = () => getComputedStyle(plot.querySelector(".lin")).display;
  const before = shown();
  plot.closest("figure").querySelector(".log-switch").click();
  seen.switches = before !== "none" && shown() === "none";
  const rgb = (colour) => {
    const n = colour.match(/[\d.]+/g).map(Number);
    return colour.startsWith("color(") ? [...n.slice(0, 3).map((v) => v * 255), n[3] ?? 1] : [n[0], n[1], n[2], n[3] ?? 1];
  };
  const luminance = (c) => c.slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour[3] > 0.99) return colour;
    }
    return [255, 255, 255, 1];
  };
  seen.contrast = 21;
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const ink = rgb(getComputedStyle(element).color);
    if (!own || ink[3] === 0 || element.closest("svg, script")) continue;
    const [a, b] = [luminance(ink), luminance(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < seen.contrast) [seen.contrast, seen.faintest] = [ratio, element.tagName + " " + element.textContent.slice(0, 40)];
  }
  seen.unnamed = [...document.images].filter((image) => !image.alt).length;
  parent.postMessage(JSON.stringify(seen), "*");
});
</script>"#;

/// Returns `$CHROMIUM`, or a Chromium on the path.
fn browser() -> PathBuf {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path)
        .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)));
    named.or_else(|| places.find(|place| place.is_file())).expect("Chromium on the path or in $CHROMIUM")
}

/// What the probe saw of the page at this width and scheme. A window is 500 px wide at least, a
/// frame is not.
fn look(browser: &Path, page: &Path, profile: &Path, width: u32, dark: bool) -> Value {
    let frame = page.with_extension("frame.html");
    let keep = "addEventListener('message', (e) => { document.documentElement.dataset.seen = e.data; })";
    let name = page.file_name().expect("a file").to_string_lossy();
    let html = format!(
        "<!DOCTYPE html><script>{keep}</script><iframe src='{name}' width={width} height=900 style='border:0'>"
    );
    std::fs::write(&frame, html).expect("writable");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"])
        .arg("--window-size=1400,950")
        .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", frame.display()))
        .output()
        .expect("the browser starts");
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    let start = page.find("data-seen=\"").unwrap_or_else(|| panic!("no trace of the probe at {width} px")) + 11;
    let seen = &page[start..start + page[start..].find('"').expect("the attribute ends")];
    serde_json::from_str(&seen.replace("&quot;", "\"").replace("&amp;", "&")).expect("JSON")
}

/// What `residual` prints when all is well.
fn residual(arguments: &[&str], paths: &[&Path]) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("residual"));
    let done = command.args(arguments).args(paths).output().expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Opens `page` on a phone and on a desk, in both schemes.
fn assert_opens(browser: &Path, page: &Path, profile: &Path) {
    let text = std::fs::read_to_string(page).expect("a page");
    assert!(text.len() < 2_000_000, "{} bytes", text.len());
    std::fs::write(page, text.replacen("<head>", &format!("<head>{PROBE}"), 1)).expect("writable");
    for (width, dark) in [(390, true), (390, false), (1280, true), (1280, false)] {
        let seen = look(browser, page, profile, width, dark);
        let at = format!("{}, {width} px, dark: {dark}: {seen}", page.display());
        assert_eq!(seen["width"], width, "{at}");
        assert!(seen["overflow"].as_i64().is_some_and(|pixels| pixels <= 0), "{at}");
        assert_eq!(seen["errors"], serde_json::json!([]), "{at}");
        assert_eq!(seen["requests"], serde_json::json!([]), "{at}");
        assert_eq!(seen["dark"], dark, "{at}");
        let (paper, ink) = (seen["paper"].as_f64().expect("a number"), seen["ink"].as_f64().expect("a number"));
        assert!(if dark { paper < 60.0 && ink > 190.0 } else { paper > 230.0 && ink < 60.0 }, "{at}");
        assert_eq!((&seen["keyboard"], &seen["switches"]), (&Value::Bool(true), &Value::Bool(true)), "{at}");
        assert!(seen["contrast"].as_f64().is_some_and(|ratio| ratio >= 4.5), "WCAG's AA: {at}");
        assert_eq!(seen["unnamed"], 0, "every image says what it shows: {at}");
    }
}

const SMALL: [&str; 7] =
    ["--json", "--set", "train.batch=8", "--set", "data.train_size=40", "--set", "schedule.kind=constant"];

#[test]
#[ignore = "needs Chromium"]
fn the_page_opens_from_disk_without_network_error_or_overflow_in_both_schemes_and_sizes() {
    let browser = browser();
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let train = [&["train", "resnet-cifar-8"][..], &SMALL, &["--set", "train.steps=8", "--out"]].concat();
    residual(&train, &[&run]);
    for lang in ["en", "ko"] {
        let page = folder.path().join(format!("{lang}.html"));
        residual(&["report", "--lang", lang, "--out"], &[&page, &run]);
        assert_opens(&browser, &page, &folder.path().join("profile"));
    }
}

#[test]
#[ignore = "needs Chromium"]
fn the_page_of_a_lab_opens_like_that_of_a_run() {
    let browser = browser();
    let folder = tempfile::tempdir().expect("a folder");
    for lang in ["en", "ko"] {
        // Its networks are trained once.
        let lab = ["lab", "depth", "--depths", "8,14", "--data", "shapes", "--steps", "4", "--probes", "2"];
        residual(&[&lab[..], &SMALL, &["--lang", lang, "--out"]].concat(), &[folder.path()]);
        assert_opens(&browser, &folder.path().join("report.html"), &folder.path().join("profile"));
    }
}
