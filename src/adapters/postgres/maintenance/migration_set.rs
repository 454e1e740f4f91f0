//! The sets of migrations: that of the tables that every database has, and one for each store.

use std::collections::BTreeSet;

use sqlx::migrate::Migration;

use super::expected::{self, Part};
use super::migrations::{MIGRATIONS_TABLE, MIGRATOR};
use crate::adapters::Store;

/// Migrations that are applied together, and recorded in a table of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum MigrationSet {
    Tables,
    Of(Store),
}

impl MigrationSet {
    /// The set of a migration, by its version: those of each store have a hundred of their own.
    pub(super) fn of(version: i64) -> Self {
        match version {
            1001..=1099 => Self::Of(Store::Organizations),
            1101..=1199 => Self::Of(Store::TwoFactor),
            1201..=1299 => Self::Of(Store::Passkeys),
            1301..=1399 => Self::Of(Store::ApiKeys),
            1401..=1499 => Self::Of(Store::RateLimits),
            1501..=1599 => Self::Of(Store::DeviceCodes),
            1601..=1699 => Self::Of(Store::SigningKeys),
            _ => Self::Tables,
        }
    }

    /// Where its migrations are recorded. [`MIGRATOR`], which knows all sets, records them in the table of the first.
    pub(super) fn records(self) -> &'static str {
        match self {
            Self::Tables => MIGRATIONS_TABLE,
            Self::Of(Store::Organizations) => "_better_auth_organizations_migrations",
            Self::Of(Store::RateLimits) => "_better_auth_rate_limits_migrations",
            Self::Of(Store::SigningKeys) => "_better_auth_signing_keys_migrations",
            Self::Of(Store::TwoFactor) => "_better_auth_two_factor_migrations",
            Self::Of(Store::Passkeys) => "_better_auth_passkeys_migrations",
            Self::Of(Store::DeviceCodes) => "_better_auth_device_codes_migrations",
            Self::Of(Store::ApiKeys) => "_better_auth_api_keys_migrations",
        }
    }

    pub(super) fn contains(self, version: i64) -> bool {
        Self::of(version) == self
    }

    /// What brings the schema up to date.
    pub(in super::super) fn migrations(self) -> impl Iterator<Item = &'static Migration> {
        MIGRATOR.iter().filter(move |migration| {
            migration.migration_type.is_up_migration() && self.contains(migration.version)
        })
    }

    pub(super) fn tables(self) -> Vec<String> {
        let tables: BTreeSet<&str> = self.parts().map(|part| part.table).collect();
        tables.into_iter().map(str::to_owned).collect()
    }

    pub(super) fn parts(self) -> impl Iterator<Item = Part> {
        expected::all_parts().filter(move |part| Self::of_table(part.table) == self)
    }

    pub(super) fn of_table(table: &str) -> Self {
        match table {
            "organization" | "member" | "invitation" | "team" | "team_member"
            | "organization_role" => Self::Of(Store::Organizations),
            "rate_limit" => Self::Of(Store::RateLimits),
            "jwks" => Self::Of(Store::SigningKeys),
            "two_factor" => Self::Of(Store::TwoFactor),
            "passkeys" => Self::Of(Store::Passkeys),
            "device_code" => Self::Of(Store::DeviceCodes),
            "api_keys" => Self::Of(Store::ApiKeys),
            _ => Self::Tables,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MigrationSet;
    use crate::adapters::Store;

    #[test]
    fn every_migration_is_of_the_set_of_its_tables() {
        let organizations = MigrationSet::Of(Store::Organizations);
        assert_eq!(organizations.tables().len(), 6);
        assert_eq!(MigrationSet::Tables.tables().len(), 4);
        let tables = organizations.tables();
        for migration in organizations.migrations() {
            let sql = migration.sql.as_str();
            assert!(tables.iter().any(|table| sql.contains(table)), "{sql}");
        }
        for migration in MigrationSet::Tables.migrations() {
            assert!(migration.version < 1000, "{}", migration.description);
        }
    }
}
