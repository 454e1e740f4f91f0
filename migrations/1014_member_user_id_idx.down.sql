-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS member_user_id_idx;
