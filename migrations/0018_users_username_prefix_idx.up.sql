-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_username_prefix_idx
    ON users (username COLLATE "C");
