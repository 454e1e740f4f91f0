-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS team_member_organization_id_user_id_idx;
