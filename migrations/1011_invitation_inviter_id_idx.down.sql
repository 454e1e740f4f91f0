-- no-transaction
DROP INDEX CONCURRENTLY IF EXISTS invitation_inviter_id_idx;
