-- How many rows of a kind ($1) belong to a parent ($2), counted up to a limit ($3). VOLATILE: it sees what others have
-- committed until now, and not only until the statement that calls it began. A column of an application's would go before a
-- parameter of its name.
CREATE OR REPLACE FUNCTION better_auth_count(TEXT, TEXT, BIGINT) RETURNS BIGINT LANGUAGE sql VOLATILE AS $$
    SELECT CASE $1
        WHEN 'organizations' THEN (SELECT count(*) FROM (SELECT FROM member WHERE member.user_id = $2 LIMIT $3) AS found)
        WHEN 'members' THEN (SELECT count(*) FROM (SELECT FROM member WHERE member.organization_id = $2 LIMIT $3) AS found)
        WHEN 'invitations' THEN (SELECT count(*) FROM (SELECT FROM invitation WHERE invitation.organization_id = $2
            AND invitation.status = 'pending' AND invitation.expires_at > statement_timestamp() LIMIT $3) AS found)
        WHEN 'teams' THEN (SELECT count(*) FROM (SELECT FROM team WHERE team.organization_id = $2 LIMIT $3) AS found)
        WHEN 'team members' THEN (SELECT count(*) FROM (SELECT FROM team_member WHERE team_member.team_id = $2 LIMIT $3) AS found)
    END
$$;
