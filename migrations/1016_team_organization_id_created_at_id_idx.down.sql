-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS team_organization_id_created_at_id_idx;
