ALTER TABLE invitation DROP CONSTRAINT IF EXISTS invitation_status_check;
