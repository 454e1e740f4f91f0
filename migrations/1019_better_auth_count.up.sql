-- How many rows of a kind belong to a parent, counted up to a limit. VOLATILE: it sees what others have committed until
-- now, and not only until the statement that calls it began.
CREATE OR REPLACE FUNCTION better_auth_count(kind TEXT, parent TEXT, up_to BIGINT) RETURNS BIGINT LANGUAGE sql VOLATILE AS $$
    SELECT CASE kind
        WHEN 'organizations' THEN (SELECT count(*) FROM (SELECT FROM member WHERE user_id = parent LIMIT up_to) AS found)
        WHEN 'members' THEN (SELECT count(*) FROM (SELECT FROM member WHERE organization_id = parent LIMIT up_to) AS found)
        WHEN 'invitations' THEN (SELECT count(*) FROM (SELECT FROM invitation WHERE organization_id = parent
            AND status = 'pending' AND expires_at > statement_timestamp() LIMIT up_to) AS found)
        WHEN 'teams' THEN (SELECT count(*) FROM (SELECT FROM team WHERE organization_id = parent LIMIT up_to) AS found)
        WHEN 'team members' THEN (SELECT count(*) FROM (SELECT FROM team_member WHERE team_id = parent LIMIT up_to) AS found)
    END
$$;
