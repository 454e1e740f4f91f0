-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS organization_role_organization_id_created_at_id_idx;
