-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS member_organization_id_role_created_at_id_idx;
