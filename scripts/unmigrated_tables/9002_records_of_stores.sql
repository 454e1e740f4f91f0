-- The tables in which the migrations of stores are recorded, which `migrate` makes.
CREATE TABLE _better_auth_organizations_migrations (LIKE _better_auth_migrations INCLUDING ALL);
CREATE TABLE _better_auth_rate_limits_migrations (LIKE _better_auth_migrations INCLUDING ALL);
CREATE TABLE _better_auth_signing_keys_migrations (LIKE _better_auth_migrations INCLUDING ALL);
CREATE TABLE _better_auth_two_factor_migrations (LIKE _better_auth_migrations INCLUDING ALL);
CREATE TABLE _better_auth_passkeys_migrations (LIKE _better_auth_migrations INCLUDING ALL);
CREATE TABLE _better_auth_device_codes_migrations (LIKE _better_auth_migrations INCLUDING ALL);
CREATE TABLE _better_auth_api_keys_migrations (LIKE _better_auth_migrations INCLUDING ALL);
