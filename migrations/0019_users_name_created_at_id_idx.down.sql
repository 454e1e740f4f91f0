-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS users_name_created_at_id_idx;
