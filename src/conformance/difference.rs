//! How a failing case shows two values that should be equal: which rows, and which fields of them, differ.

use std::collections::BTreeMap;
use std::fmt::{Arguments, Debug, Write as _};

/// Fails unless two values are equal, like the macro of the standard library, but shows what differs instead of both
/// values: first the ids of rows, then the fields. A message may follow.
macro_rules! assert_same {
    ($found:expr, $expected:expr $(,)?) => {
        $crate::conformance::difference::assert_same!($found, $expected, "")
    };
    ($found:expr, $expected:expr, $($context:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => {
                if *found != *expected {
                    $crate::conformance::difference::fail(&found, &expected, format_args!($($context)+));
                }
            }
        }
    };
}
pub(super) use assert_same;

/// Panics with what differs.
#[track_caller]
pub(super) fn fail(found: &dyn Debug, expected: &dyn Debug, context: Arguments<'_>) -> ! {
    let difference = difference(&format!("{found:#?}"), &format!("{expected:#?}"));
    match context.to_string().as_str() {
        "" => panic!("{difference}"),
        context => panic!("{context}: {difference}"),
    }
}

/// What differs between two values, given as `Debug` prints them over several lines.
fn difference(found: &str, expected: &str) -> String {
    let (found, expected) = (Fields::of(found), Fields::of(expected));
    let (found_ids, expected_ids) = (found.row_ids(), expected.row_ids());
    if found_ids != expected_ids {
        return row_difference(&found_ids, &expected_ids);
    }
    let mut shown = String::new();
    for (path, value) in &found.values {
        match expected.values.get(path) {
            Some(other) if other == value => {}
            Some(other) => {
                let _ = write!(
                    shown,
                    "\n  {path}: {} instead of {}",
                    short(value),
                    short(other)
                );
            }
            None => {
                let _ = write!(shown, "\n  {path}: {} is unexpected", short(value));
            }
        }
    }
    for (path, value) in &expected.values {
        if !found.values.contains_key(path) {
            let _ = write!(shown, "\n  {path}: {} is missing", short(value));
        }
    }
    if shown.is_empty() {
        return "the values differ in a secret, which `Debug` does not show".to_owned();
    }
    format!("the values differ:{shown}")
}

fn row_difference(found: &[String], expected: &[String]) -> String {
    let listed = |ids: &mut dyn Iterator<Item = &String>| {
        let ids: Vec<&str> = ids.map(String::as_str).collect();
        if ids.is_empty() {
            "none".to_owned()
        } else {
            ids.join(", ")
        }
    };
    let missing = listed(&mut expected.iter().filter(|id| !found.contains(id)));
    let unexpected = listed(&mut found.iter().filter(|id| !expected.contains(id)));
    if (missing.as_str(), unexpected.as_str()) != ("none", "none") {
        return format!(
            "other rows than expected\n  missing ids: {missing}\n  unexpected ids: {unexpected}"
        );
    }
    if found.len() != expected.len() {
        return format!("a row occurs twice: {}", listed(&mut found.iter()));
    }
    format!(
        "the rows are not in order (newest first, if the query does not say otherwise: by `created_at`, then by `id`)\n  \
         found ids:    {}\n  expected ids: {}",
        listed(&mut found.iter()),
        listed(&mut expected.iter()),
    )
}

/// A value, without the rest of a long text.
fn short(value: &str) -> String {
    const MAX_SHOWN: usize = 200;
    let count = value.chars().count();
    if count <= MAX_SHOWN {
        return value.to_owned();
    }
    let start: String = value.chars().take(MAX_SHOWN).collect();
    format!("{start}… ({count} characters)")
}

/// The fields of a value by their path, as in `[2].email`.
struct Fields {
    values: BTreeMap<String, String>,
    /// The paths of all ids of rows, in the order in which they were printed.
    ids: Vec<String>,
}

impl Fields {
    fn of(printed: &str) -> Self {
        let mut fields = Self {
            values: BTreeMap::new(),
            ids: Vec::new(),
        };
        let mut open: Vec<Open> = Vec::new();
        for line in printed.lines().map(str::trim) {
            if line.starts_with(['}', ']', ')']) && line.len() <= 2 {
                open.pop();
                continue;
            }
            let (name, value) = match line.split_once(": ") {
                Some((name, value)) if is_name(name) => (Some(name), value),
                _ => (None, line),
            };
            let path = match open.last_mut() {
                Some(parent) => parent.path_of(name),
                None => String::new(),
            };
            if let Some(kind) = value.strip_suffix(['{', '[', '(']) {
                open.push(Open {
                    path,
                    numbered: (kind.is_empty() && !value.ends_with('{')).then_some(0),
                });
            } else {
                let value = value.strip_suffix(',').unwrap_or(value);
                if path.rsplit('.').next() == Some("id") {
                    fields.ids.push(path.clone());
                }
                fields.values.insert(path, value.to_owned());
            }
        }
        fields
    }

    fn row_ids(&self) -> Vec<String> {
        let id = |path: &String| self.values.get(path).cloned();
        self.ids.iter().filter_map(id).collect()
    }
}

/// A struct, list, map or tuple of which some fields are yet to come.
struct Open {
    path: String,
    /// The number of the next field, if they have no names.
    numbered: Option<usize>,
}

impl Open {
    fn path_of(&mut self, name: Option<&str>) -> String {
        match (name, &mut self.numbered) {
            (Some(name), _) if self.path.is_empty() => name.to_owned(),
            (Some(name), _) => format!("{}.{name}", self.path),
            (None, Some(number)) => {
                *number += 1;
                format!("{}[{}]", self.path, *number - 1)
            }
            (None, None) => self.path.clone(),
        }
    }
}

/// A field's name or a map's key.
fn is_name(text: &str) -> bool {
    let quoted = text.len() > 1 && text.starts_with('"') && text.ends_with('"');
    quoted || text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::difference;
    use crate::types::{Metadata, User};

    fn user(id: &str) -> User {
        User {
            id: id.to_owned(),
            name: Some("a: {".to_owned()),
            email: None,
            email_verified: false,
            image: None,
            username: None,
            display_username: None,
            two_factor_enabled: false,
            role: None,
            banned: false,
            ban_reason: None,
            ban_expires: None,
            metadata: Metadata::from_iter([("pin".to_owned(), 1.into())]),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    fn between(found: &impl std::fmt::Debug, expected: &impl std::fmt::Debug) -> String {
        difference(&format!("{found:#?}"), &format!("{expected:#?}"))
    }

    #[test]
    fn only_the_fields_that_differ_are_shown() {
        let one = user("1");
        let other = User {
            name: None,
            banned: true,
            ..one.clone()
        };
        let expected =
            "the values differ:\n  banned: true instead of false\n  name: None instead of \"a: {\"";
        assert_eq!(between(&other, &one), expected);
        assert_eq!(between(&Some(other.clone()), &Some(one.clone())), expected);
        let listed = between(
            &vec![one.clone(), other.clone()],
            &vec![one.clone(), one.clone()],
        );
        assert_eq!(
            listed,
            "the values differ:\n  [1].banned: true instead of false\n  [1].name: None instead of \"a: {\""
        );
        let pair = between(&(1, other), &(1, one));
        assert!(pair.contains("[1].banned: true instead of false"), "{pair}");
    }

    #[test]
    fn other_rows_are_named_by_their_ids() {
        let (one, other) = (user("1"), user("2"));
        let rows = between(&Some(one.clone()), &None::<User>);
        assert!(
            rows.contains("missing ids: none\n  unexpected ids: \"1\""),
            "{rows}"
        );
        let rows = between(&vec![one.clone()], &vec![one.clone(), other.clone()]);
        assert!(
            rows.contains("missing ids: \"2\"\n  unexpected ids: none"),
            "{rows}"
        );
        let rows = between(&vec![one.clone(), other.clone()], &vec![other, one.clone()]);
        assert!(rows.contains("newest first"), "{rows}");
        let rows = between(&vec![one.clone(), one.clone()], &vec![one]);
        assert!(rows.contains("twice"), "{rows}");
    }

    #[test]
    fn secrets_and_long_texts_stay_out() {
        let one = user("1");
        let other = User {
            metadata: Metadata::from_iter([("pin".to_owned(), 2.into())]),
            ..one.clone()
        };
        assert!(between(&other, &one).contains("secret"));
        let long = User {
            name: Some("x".repeat(100_000)),
            ..one.clone()
        };
        assert!(between(&long, &one).len() < 500);
        let later = one.created_at + TimeDelta::microseconds(1);
        let later = between(&later, &one.created_at);
        assert!(later.contains(" instead of "), "{later}");
    }
}
