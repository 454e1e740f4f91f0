//! The server and database that connections go to, as messages and telemetry name them.

use std::fmt;
use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;

use crate::adapters::telemetry::Database;

/// Shown as `database "mydb" at localhost:5432`.
#[derive(Clone)]
pub(super) struct Server(Arc<Database>);

impl Server {
    pub(super) fn new(options: &PgConnectOptions) -> Self {
        // What PostgreSQL assumes if the URL names no database.
        let name = options.get_database().unwrap_or(options.get_username());
        let address = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => options.get_host().to_owned(),
        };
        let schema = options.get_options().and_then(schema_of);
        let database = Database::new(name, schema.as_deref(), address, options.get_port());
        Self(Arc::new(database))
    }

    pub(super) fn database(&self) -> &Database {
        &self.0
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Database {
            name,
            address,
            port,
            ..
        } = &*self.0;
        write!(f, "database \"{name}\" at {address}:{port}")
    }
}

/// The first schema of the `search_path` that options of a connection set, as `-c search_path=auth` does. None if it is the
/// role's own, whose name only the server knows.
fn schema_of(options: &str) -> Option<String> {
    // A backslash stands before a space that is part of a value.
    let mut words = vec![String::new()];
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => words.last_mut()?.extend(characters.next()),
            _ if character.is_whitespace() => words.push(String::new()),
            _ => words.last_mut()?.push(character),
        }
    }
    // The last one counts.
    let path = words.iter().rev().find_map(|word| {
        let (name, value) = word.split_once('=')?;
        let name = name.trim_start_matches("--").trim_start_matches("-c");
        (name.replace('-', "_") == "search_path").then_some(value)
    })?;
    let first = path.split(',').next().unwrap_or_default().trim();
    let first = match first.strip_prefix('"') {
        Some(quoted) => quoted.trim_end_matches('"').replace("\"\"", "\""),
        None => first.to_lowercase(),
    };
    (!first.is_empty() && first != "$user").then_some(first)
}

#[cfg(test)]
mod tests {
    use super::schema_of;

    #[test]
    fn options_may_name_the_schema() {
        for (options, expected) in [
            ("-c search_path=auth", Some("auth")),
            (
                "-csearch_path=Auth,public -c statement_timeout=1",
                Some("auth"),
            ),
            ("--search-path=\"My\\ Auth\"", Some("My Auth")),
            ("-c search_path=a -c search_path=b", Some("b")),
            ("-c search_path=\"$user\",public", None),
            ("-c search_path=", None),
            ("-c statement_timeout=1", None),
            ("", None),
        ] {
            assert_eq!(schema_of(options).as_deref(), expected, "{options}");
        }
    }
}
