-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_verified_created_at_id_idx
    ON users (email_verified, created_at, id COLLATE "C");
