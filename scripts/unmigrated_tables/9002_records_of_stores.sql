-- The tables in which the migrations of stores are recorded, which `migrate` makes.
CREATE TABLE _better_auth_organizations_migrations (LIKE _better_auth_migrations INCLUDING ALL);
