-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS invitation_pending_email_idx;
