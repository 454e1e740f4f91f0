//! The schema that the statements need: what the migrations make of an empty database.

use super::migration_set::MigrationSet;

/// Written by `just sqlx-prepare` from a freshly migrated database, and compared with one by `just sqlx-check`.
const EXPECTED_SCHEMA: &str = include_str!("expected_schema.txt");

/// A column, a constraint, an index or a function.
pub(super) struct Part {
    pub(super) kind: &'static str,
    pub(super) table: &'static str,
    pub(super) name: &'static str,
    pub(super) definition: &'static str,
}

/// The parts of all tables, those of stores too.
pub(super) fn all_parts() -> impl Iterator<Item = Part> {
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

/// The parts of a kind of the tables that every database has.
pub(super) fn parts_of_kind(kind: &str) -> impl Iterator<Item = Part> {
    MigrationSet::Tables
        .parts()
        .filter(move |part| part.kind == kind)
}

/// The tables that every database has.
pub(super) fn tables() -> Vec<String> {
    MigrationSet::Tables.tables()
}

/// Whether an index of this name is ours.
pub(super) fn is_index(name: &str) -> bool {
    all_parts().any(|part| part.kind == "index" && part.name == name)
}

#[cfg(test)]
mod tests {
    use super::{EXPECTED_SCHEMA, all_parts, tables};

    #[test]
    fn every_line_is_a_part() {
        assert_eq!(all_parts().count(), EXPECTED_SCHEMA.lines().count());
        assert!(tables().iter().any(|table| table == "users"));
    }

    /// PostgreSQL's hash indexes may miss a row while a bucket is split.
    #[test]
    fn no_index_is_a_hash_index() {
        let mut indexes = all_parts().filter(|part| part.kind == "index");
        assert!(indexes.all(|index| !index.definition.contains("hash ")));
    }
}
