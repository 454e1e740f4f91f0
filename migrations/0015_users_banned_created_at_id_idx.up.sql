-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_banned_created_at_id_idx
    ON users (banned, created_at, id COLLATE "C");
