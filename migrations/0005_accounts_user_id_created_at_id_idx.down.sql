-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS accounts_user_id_created_at_id_idx;
