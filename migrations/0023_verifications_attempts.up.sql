-- How many wrong values were checked against the row; -1 once no attempt is left. Adding it reads and writes no row.
ALTER TABLE verifications ADD COLUMN IF NOT EXISTS attempts INTEGER NOT NULL DEFAULT 0;
