-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_created_at_id_idx
    ON users (created_at, id COLLATE "C");
