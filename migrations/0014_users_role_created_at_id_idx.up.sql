-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_role_created_at_id_idx
    ON users (left(role, 64), created_at, id COLLATE "C");
