-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS passkeys_user_id_created_at_id_idx;
