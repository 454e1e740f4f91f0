//! Tables of other programs in the schema of ours: those of Better Auth in TypeScript, and an application's own by our
//! names. `migrate` refuses them before it changes anything.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::expected::{self, Part};
use super::migrations::made_by;
use super::schema_place::{Place, choose_place};

/// A table of Better Auth in TypeScript by default, and columns that it always has.
const TYPESCRIPT_MODELS: [(&str, &[&str]); 4] = [
    ("user", &["email", "emailVerified"]),
    ("session", &["userId", "token", "expiresAt"]),
    ("account", &["userId", "accountId", "providerId"]),
    ("verification", &["identifier", "value", "expiresAt"]),
];

/// What else may be in the schema when our tables are created in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Neighbours {
    /// No Better Auth (TypeScript): empty tables beside it would be taken for its own.
    Unrelated,
    /// Better Auth (TypeScript), under other names than ours: it is being imported.
    Imported,
}

/// A table that bears one of our names, or is like one of Better Auth (TypeScript).
struct Found {
    name: String,
    columns: Vec<String>,
    /// Whether it is a table, not a view or a foreign table.
    is_table: bool,
    /// Those of our columns, as `name definition`, that it has not, or not in a usable type.
    unfit: Vec<String>,
}

/// Why our tables cannot be created, or migrated, in the schema that `search_path` leads to.
pub(super) async fn refusal_by_search_path(
    connection: &mut PgConnection,
    neighbours: Neighbours,
) -> sqlx::Result<Option<String>> {
    match choose_place(connection).await? {
        Ok(place) => refusal(connection, &place, neighbours).await,
        Err(message) => Ok(Some(message)),
    }
}

/// Why our tables cannot be created, or migrated, in a schema.
pub(super) async fn refusal(
    connection: &mut PgConnection,
    place: &Place,
    neighbours: Neighbours,
) -> sqlx::Result<Option<String>> {
    let found = read(connection, &place.schema).await?;
    let models = typescript_models(&found);
    let ours = expected::tables();
    let (namesakes, others): (Vec<&Found>, Vec<&Found>) =
        found.iter().partition(|table| ours.contains(&table.name));
    let schema = &place.schema;
    let collision = namesakes.iter().any(|table| models.contains(&&*table.name));
    if collision {
        return Ok(Some(format!(
            "{}, under the names of our tables: let search_path name another schema for ours (CREATE SCHEMA auth, \
             search_path=auth), then copy the data there by `better-auth import` or SqlxAdapter::import()",
            typescript(schema, &models),
        )));
    }
    if let Some(reason) = namesakes.iter().find_map(|table| table.unfitness(schema)) {
        return Ok(Some(reason));
    }
    let is_beside = !others.is_empty() && !place.has_tables && !models.is_empty();
    if is_beside && neighbours == Neighbours::Unrelated {
        return Ok(Some(format!(
            "{}: `better-auth import` or SqlxAdapter::import() creates our tables beside them and copies the data; to \
             begin without it, let search_path name another schema (CREATE SCHEMA auth, search_path=auth)",
            typescript(schema, &models),
        )));
    }
    Ok(None)
}

fn typescript(schema: &str, models: &[&str]) -> String {
    format!(
        "schema {schema} has tables of Better Auth (TypeScript), {}",
        models.join(", ")
    )
}

async fn read(connection: &mut PgConnection, schema: &str) -> sqlx::Result<Vec<Found>> {
    let parts: Vec<Part> = expected::parts_of_kind("column")
        .filter(is_created_with_table)
        .collect();
    let column = |of: fn(&Part) -> &str| parts.iter().map(|part| of(part).to_owned()).collect();
    let tables: Vec<String> = column(|part| part.table);
    let names: Vec<String> = column(|part| part.name);
    let definitions: Vec<String> = column(|part| part.definition);
    let types: Vec<String> = column(|part| column_type(part.definition));
    // Any text will do that has a collation, as indexes of ours need it. A domain is as good as its base type.
    sqlx::query_as!(
        Found,
        "SELECT relname::TEXT AS \"name!\", relkind IN ('r', 'p') AS \"is_table!\", \
         ARRAY(SELECT attname::TEXT FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped) \
         AS \"columns!\", \
         ARRAY(SELECT of_column || ' ' || of_definition \
         FROM unnest($2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[]) AS expected (of_table, of_column, of_definition, of_type) \
         LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND attname = of_column AND NOT attisdropped \
         LEFT JOIN pg_type ON pg_type.oid = atttypid \
         WHERE of_table = relname AND (attname IS NULL OR CASE of_type WHEN 'text' THEN typcategory <> 'S' OR attcollation = 0 \
         ELSE of_type::REGTYPE NOT IN (atttypid, typbasetype) END)) AS \"unfit!\" \
         FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
         WHERE nspname = $1 AND relkind IN ('r', 'p', 'v', 'm', 'f') AND (relname = ANY($2) \
         OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped \
         AND (attname IN ('emailVerified', 'userId', 'expiresAt') \
         OR relname IN ('user', 'session') AND attname IN ('email_verified', 'user_id')))) ORDER BY 1",
        schema,
        &tables,
        &names,
        &definitions,
        &types,
    )
    .fetch_all(connection)
    .await
}

/// Whether the statement that creates the table makes the column, so that no migration adds it to a table that is there.
fn is_created_with_table(column: &Part) -> bool {
    made_by(column.name).is_some_and(|made_by| made_by.sql.as_str().contains("CREATE TABLE"))
}

/// The type of a column, from its definition.
fn column_type(definition: &str) -> &str {
    let end = definition.find(" NOT NULL").or(definition.find(" DEFAULT"));
    definition
        .get(..end.unwrap_or(definition.len()))
        .unwrap_or(definition)
}

/// The tables of Better Auth (TypeScript), if users and sessions are among them. Its tables may have other names, and its
/// columns stand for themselves; where they are written in snake case, only its own names tell it from ours.
fn typescript_models(found: &[Found]) -> Vec<&str> {
    let is_model = |table: &Found, (name, columns): (&str, &[&str])| {
        let has = |column: &str| table.columns.iter().any(|of_table| of_table == column);
        columns.iter().all(|column| has(column))
            || table.name == name && columns.iter().all(|column| has(&snake_case(column)))
    };
    let models = TYPESCRIPT_MODELS.map(|model| {
        let tables = found.iter().filter(move |table| is_model(table, model));
        tables.map(|table| &*table.name).collect::<BTreeSet<_>>()
    });
    match models {
        [users, sessions, accounts, verifications] if !users.is_empty() && !sessions.is_empty() => {
            // A session has more columns than a verification asks for, and so on.
            let all = [users, sessions, accounts, verifications];
            let all: BTreeSet<&str> = all.into_iter().flatten().collect();
            all.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// `emailVerified` as `email_verified`.
pub(super) fn snake_case(name: &str) -> String {
    let letters = name.chars().flat_map(|letter| {
        let underscore = letter.is_ascii_uppercase().then_some('_');
        underscore.into_iter().chain([letter.to_ascii_lowercase()])
    });
    letters.collect()
}

impl Found {
    /// Why the migrations would stop at this table, which bears one of our names.
    fn unfitness(&self, schema: &str) -> Option<String> {
        let Self { name, unfit, .. } = self;
        let another_schema = "let search_path name another schema for our tables (CREATE SCHEMA auth, search_path=auth)";
        if !self.is_table {
            return Some(format!(
                "schema {schema} has a view or foreign table {name} where our table would be: {another_schema}"
            ));
        }
        if unfit.is_empty() {
            return None;
        }
        let parts = unfit.iter().filter_map(|part| part.split_once(' '));
        let has = |column: &str| self.columns.iter().any(|of_table| of_table == column);
        let (others, missing): (Vec<_>, Vec<_>) = parts.partition(|(column, _)| has(column));
        let names = |columns: &[(&str, &str)]| {
            let names: Vec<&str> = columns.iter().map(|&(column, _)| column).collect();
            names.join(", ")
        };
        let faults = match (&*missing, &*others) {
            (missing, []) => format!("lacks {}", names(missing)),
            ([], others) => format!("has {} in another type", names(others)),
            (missing, others) => format!(
                "lacks {}, and has {} in another type",
                names(missing),
                names(others)
            ),
        };
        let all = expected::parts_of_kind("column").filter(|part| part.table == name);
        // As `schema_place` tells our tables from others.
        let is_ours = 3 * unfit.len() <= all.count();
        if !is_ours {
            return Some(format!(
                "schema {schema} has a table {name} that is not ours, as it {faults}: {another_schema}, or rename that \
                 table"
            ));
        }
        let missing = missing.iter();
        let adds = missing.map(|(column, definition)| format!("ADD COLUMN {column} {definition}"));
        let alters = others.iter().map(|(column, definition)| {
            let of_type = column_type(definition);
            format!("ALTER COLUMN {column} TYPE {of_type} USING …")
        });
        let changes: Vec<String> = adds.chain(alters).collect();
        Some(format!(
            "table {name} in schema {schema} {faults}: ALTER TABLE {name} {}; or {another_schema}",
            changes.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, column_type, snake_case, typescript_models};

    fn table(name: &str, columns: &[&str]) -> Found {
        Found {
            name: name.to_owned(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            is_table: true,
            unfit: Vec::new(),
        }
    }

    #[test]
    fn typescript_is_known_by_its_columns() {
        let session = ["id", "userId", "token", "expiresAt"];
        let user = ["id", "email", "emailVerified"];
        assert_eq!(
            typescript_models(&[table("auth_user", &user), table("logins", &session)]),
            ["auth_user", "logins"]
        );
        // An application's own table, without users.
        assert_eq!(typescript_models(&[table("links", &session)]), [""; 0]);
        let snake = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| snake_case(name)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let (user, session) = (snake(&user), snake(&session));
        let in_snake_case = |users: &str, sessions: &str| {
            let columns = |names: &[String]| names.iter().map(String::clone).collect();
            [(users, &user), (sessions, &session)].map(|(name, names)| Found {
                columns: columns(names),
                ..table(name, &[])
            })
        };
        assert_eq!(
            typescript_models(&in_snake_case("user", "session")),
            ["session", "user"]
        );
        assert_eq!(
            typescript_models(&in_snake_case("users", "sessions")),
            [""; 0]
        );
    }

    #[test]
    fn a_type_may_have_several_words() {
        for (definition, expected) in [
            ("text", "text"),
            ("jsonb NOT NULL DEFAULT '{}'::jsonb", "jsonb"),
            (
                "timestamp with time zone NOT NULL DEFAULT now()",
                "timestamp with time zone",
            ),
            ("boolean DEFAULT false", "boolean"),
        ] {
            assert_eq!(column_type(definition), expected);
        }
    }
}
