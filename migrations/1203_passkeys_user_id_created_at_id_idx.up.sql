-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS passkeys_user_id_created_at_id_idx
ON passkeys (user_id, created_at, id COLLATE "C");
