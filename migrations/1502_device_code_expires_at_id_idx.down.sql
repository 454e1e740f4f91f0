-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS device_code_expires_at_id_idx;
