//! No files of a crate import each other in a circle.
//!
//! Reads the sources as text: `use` declarations and paths, resolved through re-exports to the
//! file that defines the item. A re-export (`pub use`) is a signpost and counts for its user, not
//! for the file that it stands in. Unit tests, methods and macros are not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

type Module = Vec<String>;

/// What one file says.
#[derive(Default)]
struct File {
    /// Local name to path, for every `use` with a name.
    names: BTreeMap<String, Module>,
    /// Modules whose names are all imported.
    globs: Vec<Module>,
    /// Items that the file defines.
    items: BTreeSet<String>,
    /// Paths that the code uses, those of private `use` declarations included.
    paths: BTreeSet<Module>,
}

/// Returns the Rust files below `folder`, unit tests left out.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("readable").path()) {
        let stem = entry.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        match entry.is_dir() {
            _ if stem == "tests" => {}
            true => found.extend(sources(&entry)),
            false if entry.extension().is_some_and(|extension| extension == "rs") => found.push(entry),
            false => {}
        }
    }
    found.sort();
    found
}

/// Splits code into identifiers, `::` and single characters; comments, strings and what follows
/// `#[cfg(test)] mod` are left out.
fn tokens(text: &str) -> Vec<String> {
    let text = text.find("#[cfg(test)]\nmod ").map_or(text, |end| &text[..end]);
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r#\"") {
            rest.find("\"#").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            let mut escaped = false;
            let closes = |c: char| {
                let closes = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            };
            rest[1..].find(closes).map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") {
            3
        } else if rest.starts_with("'\\\"'") {
            4
        } else if word > 0 {
            found.push(rest[..word].to_owned());
            word
        } else if rest.starts_with("::") {
            found.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                found.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// Reads a tree of a `use` declaration at `at`, and returns where it ends.
fn tree(tokens: &[String], mut at: usize, prefix: &Module, public: bool, file: &mut File) -> usize {
    let mut path = prefix.clone();
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "::" => at += 1,
            "{" => {
                while tokens[at] != "}" {
                    at = tree(tokens, at + 1, &path, public, file);
                }
                return at + 1;
            }
            "*" => {
                file.globs.push(path);
                return at + 1;
            }
            "}" | "," | ";" | "as" => break,
            name => {
                path.push(name.to_owned());
                at += 1;
            }
        }
    }
    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
    }
    let alias = tokens.get(at).is_some_and(|token| token == "as");
    let name = if alias { tokens.get(at + 1) } else { path.last() }.cloned();
    if let Some(name) = name.filter(|_| path.len() > prefix.len() || alias || !prefix.is_empty()) {
        if !public {
            file.paths.insert(path.clone());
        }
        file.names.insert(name, path);
    }
    if alias { at + 2 } else { at }
}

/// Parses the file at `path` of a crate's `src`.
fn parse(path: &Path, text: &str) -> (Module, File) {
    let mut module: Module = path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    let tokens = tokens(text);
    let mut file = File::default();
    let mut at = 0;
    while at < tokens.len() {
        let (token, before) = (tokens[at].as_str(), at.checked_sub(1).map_or("", |before| tokens[before].as_str()));
        if token == "use" && before != "+" {
            at = tree(&tokens, at + 1, &Module::new(), before == "pub" || before == ")", &mut file);
            continue;
        }
        if ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules"].contains(&token) {
            let name = tokens[at + 1..].iter().find(|token| *token != "!" && *token != "unsafe" && *token != "fn");
            file.items.extend(name.cloned());
        }
        if tokens.get(at + 1).is_some_and(|next| next == "::") && before != "::" {
            let mut path = vec![tokens[at].clone()];
            while tokens.get(at + 1).is_some_and(|next| next == "::")
                && tokens.get(at + 2).is_some_and(|next| next.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
            {
                path.push(tokens[at + 2].clone());
                at += 2;
            }
            file.paths.insert(path);
        }
        at += 1;
    }
    (module, file)
}

/// Returns the file that defines what `path` names in `module`, if it is one of the crate's.
fn resolve(files: &BTreeMap<Module, File>, module: &Module, path: &[String], depth: usize) -> Option<Module> {
    let file = files.get(module)?;
    let (first, rest) = path.split_first()?;
    let inside =
        |module: &Module, rest: &[String]| if depth < 9 { resolve(files, module, rest, depth + 1) } else { None };
    let child: Module = module.iter().chain([first]).cloned().collect();
    match first.as_str() {
        "crate" => inside(&Module::new(), rest),
        "self" => inside(module, rest),
        "super" => inside(&module[..module.len().checked_sub(1)?].to_vec(), rest),
        _ if file.items.contains(first) => Some(module.clone()),
        _ if files.contains_key(&child) => inside(&child, rest),
        _ => {
            let named = file.names.get(first).filter(|named| *named != path);
            let named = named.map(|named| named.iter().chain(rest).cloned().collect::<Module>());
            named.and_then(|named| inside(module, &named)).or_else(|| {
                let globs = file.globs.iter().filter(|glob| glob.first() != path.first());
                globs
                    .map(|glob| glob.iter().chain(path).cloned().collect::<Module>())
                    .find_map(|path| inside(module, &path))
            })
        }
    }
}

type Graph = BTreeMap<Module, BTreeSet<Module>>;

/// Returns which file of the crate imports which.
fn imports(files: &BTreeMap<Module, File>) -> Graph {
    let targets = |module: &Module, file: &File| {
        let targets = file.paths.iter().filter_map(|path| resolve(files, module, path, 0));
        targets.filter(|target| target != module).collect()
    };
    files.iter().map(|(module, file)| (module.clone(), targets(module, file))).collect()
}

/// Returns the groups of files that reach each other.
fn groups(graph: &Graph) -> BTreeSet<Vec<Module>> {
    let mut reached = graph.clone();
    let more = |reached: &Graph, module: &Module| -> BTreeSet<Module> {
        reached[module].iter().filter_map(|target| reached.get(target)).flatten().cloned().collect()
    };
    while let Some(module) = graph.keys().find(|module| !more(&reached, module).is_subset(&reached[*module])) {
        let found = more(&reached, module);
        reached.get_mut(module).expect("a file").extend(found);
    }
    let both = |a: &Module, b: &Module| reached[a].contains(b) && reached.get(b).is_some_and(|back| back.contains(a));
    let group = |module: &Module| graph.keys().filter(|other| both(module, other)).cloned().collect();
    graph.keys().filter(|module| reached[*module].contains(*module)).map(group).collect()
}

/// Returns the circles of `graph`. A module and its own parts may use each other: they are read
/// together.
fn circles(graph: &Graph) -> Vec<Vec<Module>> {
    let mut found = Vec::new();
    for group in groups(graph) {
        let Some(head) = group.iter().find(|head| group.iter().all(|module| module.starts_with(head))) else {
            found.push(group);
            continue;
        };
        let inside = |target: &&Module| group.contains(target) && *target != head;
        let parts = group.iter().map(|module| (module.clone(), graph[module].iter().filter(inside).cloned().collect()));
        found.extend(circles(&parts.collect()));
    }
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for folder in std::fs::read_dir(&crates).expect("the crates").map(|entry| entry.expect("readable").path()) {
        let root = folder.join("src");
        if !root.is_dir() {
            continue;
        }
        let text = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            parse(path.strip_prefix(&root).expect("inside of the crate"), &text)
        };
        for circle in circles(&imports(&sources(&root).into_iter().map(text).collect())) {
            let names = circle.iter().map(|module| module.join("::")).collect::<Vec<String>>().join(", ");
            found.push(format!("{}: {names}", folder.file_name().expect("a name").display()));
        }
    }
    assert!(found.is_empty(), "{} circles\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_circle_of_two_files_is_found_through_a_re_export() {
    let files = [
        ("lib.rs", "mod a;\nmod b;\npub use b::B;\npub struct Both;"),
        ("a.rs", "use crate::{B, Both};\npub struct A(B, Both);"),
        ("b.rs", "// use crate::nothing;\npub struct B;\nimpl B { fn a() -> Option<super::a::A> { None } }"),
    ];
    let files = files.into_iter().map(|(path, text)| parse(Path::new(path), text));
    assert_eq!(circles(&imports(&files.collect())), [[["a"], ["b"]]]);
}
