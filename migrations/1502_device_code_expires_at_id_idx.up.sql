-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS device_code_expires_at_id_idx
ON device_code (expires_at, id);
