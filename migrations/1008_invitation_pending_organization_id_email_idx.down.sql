-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS invitation_pending_organization_id_email_idx;
