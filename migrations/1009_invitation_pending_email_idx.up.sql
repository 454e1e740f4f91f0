-- no-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS invitation_pending_email_idx
ON invitation (email, created_at, id COLLATE "C") WHERE status = 'pending';
