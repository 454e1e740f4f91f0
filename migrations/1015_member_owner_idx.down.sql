-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS member_owner_idx;
