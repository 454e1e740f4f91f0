-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS team_member_team_id_created_at_id_idx;
