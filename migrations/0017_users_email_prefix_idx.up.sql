-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_prefix_idx
    ON users (email COLLATE "C");
