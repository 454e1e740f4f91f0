ALTER TABLE invitation ADD COLUMN IF NOT EXISTS team_id TEXT;

-- The column may be there already, with or without its keys.
ALTER TABLE invitation
    DROP CONSTRAINT IF EXISTS invitation_team_id_fkey,
    DROP CONSTRAINT IF EXISTS invitation_team_id_organization_id_fkey;

-- The second key keeps a team of another organization out. It is checked last, after the first has cleared `team_id`.
ALTER TABLE invitation
    ADD CONSTRAINT invitation_team_id_fkey FOREIGN KEY (team_id) REFERENCES team(id) ON DELETE SET NULL,
    ADD CONSTRAINT invitation_team_id_organization_id_fkey FOREIGN KEY (team_id, organization_id)
        REFERENCES team(id, organization_id) DEFERRABLE INITIALLY DEFERRED;
