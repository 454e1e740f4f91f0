-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_name_created_at_id_idx
    ON users (left(name, 64) COLLATE "C", created_at, id COLLATE "C");
