-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS invitation_team_id_idx;
