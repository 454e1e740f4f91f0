-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS team_member_user_id_idx;
