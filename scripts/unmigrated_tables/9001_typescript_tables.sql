-- Tables of Better Auth (TypeScript), as far as the statements of `import` name them. `scripts/sqlx-cache.sh` makes them in
-- the database that statements are checked against.
CREATE SCHEMA typescript;
CREATE TABLE typescript."user" (id TEXT PRIMARY KEY);
CREATE TABLE typescript.account (id TEXT PRIMARY KEY);
CREATE TABLE typescript.session (id TEXT PRIMARY KEY);
CREATE TABLE typescript.verification (id TEXT PRIMARY KEY);
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, typescript', current_database()); END $$;
