-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS device_code_user_id_idx;
