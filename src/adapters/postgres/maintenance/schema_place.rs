//! Where our tables are, or where they are to be: the schema of `search_path` that `migrate` works in.

use sqlx::PgConnection;

use super::expected;
use super::migrations::Failure;

pub(super) struct Place {
    pub(super) schema: String,
    /// Whether the schema has the table of migrations.
    pub(super) is_recorded: bool,
    /// Whether it has tables of ours, recorded or made by hand.
    pub(super) has_tables: bool,
}

/// A schema of `search_path`.
struct Candidate {
    schema: String,
    is_recorded: bool,
    /// The relations with the name of one of our tables.
    namesakes: Vec<String>,
    /// Those of them that are our tables.
    ours: Vec<String>,
}

/// Only UTF8 holds every text, and only there do sqlx and the server agree on all of them.
pub(super) async fn check_encoding(connection: &mut PgConnection) -> Result<(), Failure> {
    let encoding = sqlx::query_scalar!(
        "SELECT pg_encoding_to_char(encoding)::TEXT AS \"encoding!\" FROM pg_database \
         WHERE datname = current_database()"
    )
    .fetch_one(connection)
    .await?;
    match wrong_encoding(&encoding) {
        Some(message) => Err(Failure::Refused(message)),
        None => Ok(()),
    }
}

pub(super) fn wrong_encoding(encoding: &str) -> Option<String> {
    (encoding != "UTF8").then(|| {
        format!(
            "the encoding of the database is {encoding}, which cannot store every text: create a database with \
             ENCODING 'UTF8' TEMPLATE template0"
        )
    })
}

/// Finds the schema in which the migrations are recorded, or our tables are, or nothing is yet.
pub(super) async fn find_place(connection: &mut PgConnection) -> Result<Place, Failure> {
    choose_place(connection).await?.map_err(Failure::Refused)
}

/// As [`find_place`], with the reason if there is no such schema.
pub(super) async fn choose_place(
    connection: &mut PgConnection,
) -> sqlx::Result<Result<Place, String>> {
    let (tables, columns): (Vec<_>, Vec<_>) = expected::parts_of_kind("column")
        .map(|column| (column.table.to_owned(), column.name.to_owned()))
        .unzip();
    // A table by the name of one of ours may be an application's own. One with two thirds of the columns is ours.
    let candidates = sqlx::query_as!(
        Candidate,
        "WITH expected AS (SELECT * FROM unnest($1::TEXT[], $2::TEXT[]) AS part (of_table, of_column)) \
         SELECT nspname::TEXT AS \"schema!\", \
         EXISTS (SELECT FROM pg_class WHERE relnamespace = pg_namespace.oid AND relname = '_better_auth_migrations') \
         AS \"is_recorded!\", \
         ARRAY(SELECT relname::TEXT FROM pg_class WHERE relnamespace = pg_namespace.oid AND relname = ANY($1) \
         AND relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1) AS \"namesakes!\", \
         ARRAY(SELECT relname::TEXT FROM expected JOIN pg_class ON relname = of_table \
         LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND attname = of_column AND NOT attisdropped \
         WHERE relnamespace = pg_namespace.oid AND relkind IN ('r', 'p') \
         GROUP BY relname HAVING 3 * count(attname) >= 2 * count(*) ORDER BY 1) AS \"ours!\" \
         FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (path_schema, place) \
         JOIN pg_namespace ON nspname = path_schema WHERE nspname NOT LIKE 'pg\\_%' ORDER BY place",
        &tables,
        &columns,
    )
    .fetch_all(connection)
    .await?;
    Ok(choose(&candidates))
}

fn choose(candidates: &[Candidate]) -> Result<Place, String> {
    let chosen = candidates
        .iter()
        .position(|candidate| candidate.is_recorded)
        .or_else(|| {
            candidates
                .iter()
                .position(|candidate| !candidate.ours.is_empty())
        })
        .unwrap_or(0);
    let Some(place) = candidates.get(chosen) else {
        return Err(
            "search_path names no schema that exists and that the role may use: CREATE SCHEMA, or GRANT USAGE on it"
                .to_owned(),
        );
    };
    let schema = &place.schema;
    for before in candidates.iter().take(chosen) {
        if !before.namesakes.is_empty() {
            return Err(format!(
                "schema {} comes before schema {schema} in search_path, and its {} hides the one there: name only the \
                 schema of our tables in search_path",
                before.schema,
                before.namesakes.join(", "),
            ));
        }
    }
    for after in candidates.iter().skip(chosen + 1) {
        let elsewhere = |table: &&String| !place.namesakes.contains(table);
        if let Some(table) = after.ours.iter().find(elsewhere) {
            return Err(format!(
                "our tables are in schema {schema}, but {table} is in schema {}: name one schema in search_path, or \
                 move the tables into one",
                after.schema,
            ));
        }
    }
    Ok(Place {
        schema: schema.clone(),
        is_recorded: place.is_recorded,
        has_tables: place.is_recorded || !place.ours.is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Candidate, choose};

    /// A schema without a record of migrations.
    fn schema(name: &str, namesakes: &[&str], ours: &[&str]) -> Candidate {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Candidate {
            schema: name.to_owned(),
            is_recorded: false,
            namesakes: owned(namesakes),
            ours: owned(ours),
        }
    }

    fn recorded(candidate: Candidate) -> Candidate {
        Candidate {
            is_recorded: true,
            ..candidate
        }
    }

    fn chosen(candidates: &[Candidate]) -> Result<String, String> {
        choose(candidates).map(|place| place.schema)
    }

    #[test]
    fn the_record_decides_then_the_tables_then_the_path() {
        let (none, all) = (&[][..], &["sessions", "users"][..]);
        let empty = || schema("app", none, none);
        let made = || schema("public", all, all);
        assert_eq!(
            chosen(&[empty(), recorded(made())]).as_deref(),
            Ok("public")
        );
        assert_eq!(chosen(&[empty(), made()]).as_deref(), Ok("public"));
        assert_eq!(chosen(&[empty()]).as_deref(), Ok("app"));
        let foreign = || schema("public", &["users"], none);
        assert_eq!(chosen(&[empty(), foreign()]).as_deref(), Ok("app"));
        let tenant = recorded(schema("tenant", all, all));
        assert_eq!(chosen(&[tenant, recorded(made())]).as_deref(), Ok("tenant"));
        assert!(chosen(&[]).is_err());
    }

    #[test]
    fn no_table_of_ours_is_hidden() {
        let all = &["sessions", "users"][..];
        let both_named = |candidates: &[Candidate]| {
            let refused = chosen(candidates).unwrap_err();
            assert!(
                refused.contains("app") && refused.contains("public"),
                "{refused}"
            );
        };
        let foreign = schema("app", &["users"], &[]);
        both_named(&[foreign, recorded(schema("public", all, all))]);
        let half = schema("app", &["users"], &["users"]);
        both_named(&[half, schema("public", &["sessions"], &["sessions"])]);
    }
}
