-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_user_id_created_at_id_idx
    ON sessions (user_id, created_at, id COLLATE "C");
