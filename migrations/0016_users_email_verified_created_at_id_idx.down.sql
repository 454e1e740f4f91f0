-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS users_email_verified_created_at_id_idx;
