//! Pages in both languages.

use super::*;

/// Names that are the same in both: of networks and data, of methods, of this program, of systems.
const NAMES: [&str; 18] = [
    "residual",
    "resnet",
    "plain",
    "cifar",
    "shapes",
    "linux",
    "portable",
    "calibration",
    "disc",
    "ring",
    "square",
    "triangle",
    "star",
    "cross",
    "crescent",
    "heart",
    "arrow",
    "bars",
];

/// Words of English that a reader of `page` meets, in its text and in what is read out of it. Code,
/// recipes and what is marked as English are not counted.
fn english(page: &str) -> Vec<String> {
    let (mut text, mut skipped): (String, Vec<String>) = (String::new(), Vec::new());
    let body = &page[page.find("<body>").expect("a page")..];
    for piece in body.split('<').skip(1) {
        let (tag, after) = piece.split_once('>').unwrap_or((piece, ""));
        let name = tag.split([' ', '/']).next().unwrap_or_default().to_owned();
        if let Some(closed) = tag.strip_prefix('/') {
            if skipped.last().is_some_and(|open| open == closed) {
                skipped.pop();
            }
        } else if ["style", "script", "code", "pre"].contains(&name.as_str()) || tag.contains("lang=\"en\"") {
            skipped.push(name);
        } else if skipped.is_empty() {
            for attribute in ["alt=\"", "aria-label=\"", "title=\""] {
                text += tag.split(attribute).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
                text.push(' ');
            }
        }
        if skipped.is_empty() {
            text += after;
            text.push(' ');
        }
    }
    // Names of files and of layers are data.
    let words = text.split_whitespace().filter(|word| !word.contains(['_', '.', '#']));
    let words = words.flat_map(|word| word.split(|c: char| !c.is_ascii_alphanumeric()));
    let is_english = |word: &&str| word.len() > 3 && word.chars().all(|c| c.is_ascii_lowercase());
    words.filter(is_english).filter(|word| !NAMES.contains(word)).map(str::to_owned).collect()
}

#[test]
fn a_korean_page_has_no_english_left_over() {
    let folder = folder();
    lines(small(&folder, 3, &[]));
    let run = folder.path().join("run").to_string_lossy().into_owned();
    let out = folder.path().join("page.html").to_string_lossy().into_owned();
    lines(residual(&["report", &run, "--lang", "ko", "--out", &out, "--json"]));
    let page = std::fs::read_to_string(&out).expect("a page");
    assert_eq!(english(&page), Vec::<String>::new(), "one run");
    lines(residual(&["report", &run, &run, "--lang", "ko", "--out", &out, "--json"]));
    let page = std::fs::read_to_string(&out).expect("a page");
    assert_eq!(english(&page), Vec::<String>::new(), "two runs");

    let brief = ["--data", "shapes", "--json", "--steps", "2", "--set", "train.batch=8", "--set", "data.train_size=40"];
    for lab in [&["depth", "--depths", "8,14", "--shortcuts", "A,B,C"][..], &["nonlinearity"]] {
        let out = folder.path().join(lab[0]);
        let mut command = residual(&[&["lab"], lab, &brief, &["--probes", "2", "--lang", "ko", "--out"]].concat());
        lines({
            command.arg(&out);
            command
        });
        let page = std::fs::read_to_string(out.join("report.html")).expect("a page");
        assert_eq!(english(&page), Vec::<String>::new(), "lab {}", lab[0]);
    }
    // The same words are found where the page is English.
    lines(residual(&["report", &run, "--out", &out, "--json"]));
    assert!(english(&std::fs::read_to_string(&out).expect("a page")).len() > 100);
}
