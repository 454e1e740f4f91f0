-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS device_code_user_id_idx
ON device_code (user_id) WHERE user_id IS NOT NULL;
