-- no-transaction
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS invitation_pending_organization_id_email_idx
ON invitation (organization_id, email) WHERE status = 'pending';
