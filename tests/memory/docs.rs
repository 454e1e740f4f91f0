//! What the documentation names is there: the tests of `docs/reliability.md`, and files in every document.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The names of the tests, and of the functions that tests are made of by a macro: all of `tests` and of the suite, and in
/// the rest of `src` those below an attribute that ends in `test`.
fn tests() -> Vec<String> {
    let mut sources = Vec::new();
    files(&root().join("src"), "rs", &mut sources);
    files(&root().join("tests"), "rs", &mut sources);
    let cases = [root().join("tests"), root().join("src/conformance")];
    let mut tests = Vec::new();
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        let all = cases.iter().any(|folder| source.starts_with(folder));
        let mut below_attribute = false;
        for line in text.lines().map(str::trim) {
            if let Some(attribute) = line.strip_prefix("#[") {
                let path = attribute.split(['(', ']']).next().unwrap();
                below_attribute |= path == "test" || path.ends_with("::test");
            } else if let Some((_, name)) = line.split_once("fn ") {
                if all || below_attribute {
                    tests.push(name.split(['(', '<']).next().unwrap().to_owned());
                }
                below_attribute = false;
            }
        }
    }
    tests
}

/// Whether a name in code is that of a test, as these are sentences.
fn reads_like_a_test(name: &str) -> bool {
    let words = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(words) && name.matches('_').count() >= 2
}

#[test]
fn each_test_that_reliability_names_exists() {
    let tests = tests();
    let text = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let named: Vec<&str> = code(&text).filter(|name| reads_like_a_test(name)).collect();
    assert!(named.len() > 50, "{named:?}");
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !tests.iter().any(|test| test == *name))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

#[test]
fn each_file_that_documents_name_exists() {
    let mut documents = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    files(&root().join("docs"), "md", &mut documents);
    let mut missing = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let folders = [
            "src/",
            "tests/",
            "docs/",
            "scripts/",
            "benches/",
            "examples/",
            "migrations/",
        ];
        let named = code(&text)
            .filter(|path| folders.iter().any(|folder| path.starts_with(folder)))
            .filter(|path| !path.contains(['*', '…', ' ', 'N', '<']))
            .map(|path| root().join(path));
        let linked = text
            .split("](")
            .skip(1)
            .map(|rest| rest.split([')', '#']).next().unwrap())
            .filter(|link| !link.is_empty() && !link.contains("://"))
            .map(|link| document.parent().unwrap().join(link));
        let absent = named.chain(linked).filter(|path| !path.exists());
        missing.extend(absent.map(|path| (document.clone(), path)));
    }
    assert!(missing.is_empty(), "no such files: {missing:?}");
}

/// What an operator finds in a log is in the list of incidents: each kind of error, and each reason.
#[test]
fn each_error_is_in_the_list_of_incidents() {
    let text = fs::read_to_string(root().join("docs/operations/README.md")).unwrap();
    let (_, incidents) = text.split_once("## Incidents").unwrap();
    let source = fs::read_to_string(root().join("src/error.rs")).unwrap();
    let (_, kinds) = source.split_once("pub fn kind(&self)").unwrap();
    let kinds = kinds.split("    }\n").next().unwrap();
    let kinds: Vec<&str> = kinds.split('"').skip(1).step_by(2).collect();
    assert!(kinds.contains(&"OutcomeUnknown"), "{kinds:?}");
    let listed: Vec<&str> = code(incidents).collect();
    for kind in kinds {
        assert!(listed.contains(&kind), "{kind} is not in the list");
    }
    let source = fs::read_to_string(root().join("src/adapters/postgres/error.rs")).unwrap();
    let (_, reasons) = source.split_once("fn advice(").unwrap();
    let (reasons, _) = reasons.split_once("pub(super) fn statement_error").unwrap();
    // A line that ends in a backslash goes on without the next one's indentation.
    let lines: Vec<&str> = reasons
        .split("\\\n")
        .enumerate()
        .map(|(index, line)| if index == 0 { line } else { line.trim_start() })
        .collect();
    let reasons = lines.concat();
    let reasons: Vec<&str> = reasons.split('"').skip(1).step_by(2).collect();
    assert!(reasons.len() > 20, "{reasons:?}");
    for reason in reasons {
        let is_listed = listed
            .iter()
            .any(|listed| listed.len() > 8 && reason.contains(listed));
        assert!(is_listed, "{reason:?} is not in the list");
    }
}
