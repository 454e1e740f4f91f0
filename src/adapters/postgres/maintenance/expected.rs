//! The schema that the statements need: what the migrations make of an empty database.

use std::collections::BTreeSet;

/// Written by `just sqlx-prepare` from a freshly migrated database, and compared with one by `just sqlx-check`.
const EXPECTED_SCHEMA: &str = include_str!("expected_schema.txt");

/// A column, a constraint or an index.
pub(super) struct Part {
    pub(super) kind: &'static str,
    pub(super) table: &'static str,
    pub(super) name: &'static str,
    pub(super) definition: &'static str,
}

pub(super) fn parts() -> impl Iterator<Item = Part> {
    EXPECTED_SCHEMA.lines().filter_map(|line| {
        let (kind, rest) = line.split_once(' ')?;
        let (name, definition) = rest.split_once(' ')?;
        let (table, name) = name.split_once('.')?;
        Some(Part {
            kind,
            table,
            name,
            definition,
        })
    })
}

pub(super) fn parts_of_kind(kind: &str) -> impl Iterator<Item = Part> {
    parts().filter(move |part| part.kind == kind)
}

pub(super) fn tables() -> Vec<String> {
    let tables: BTreeSet<&str> = parts().map(|part| part.table).collect();
    tables.into_iter().map(str::to_owned).collect()
}

/// Whether an index of this name is ours.
pub(super) fn is_index(name: &str) -> bool {
    parts_of_kind("index").any(|part| part.name == name)
}

#[cfg(test)]
mod tests {
    use super::{EXPECTED_SCHEMA, parts, parts_of_kind, tables};

    #[test]
    fn every_line_is_a_part() {
        assert_eq!(parts().count(), EXPECTED_SCHEMA.lines().count());
        assert!(tables().iter().any(|table| table == "users"));
    }

    /// PostgreSQL's hash indexes may miss a row while a bucket is split.
    #[test]
    fn no_index_is_a_hash_index() {
        assert!(parts_of_kind("index").all(|index| !index.definition.contains("hash ")));
    }
}
