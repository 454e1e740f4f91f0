-- Whether a row of a kind ($1) is there, of a parent ($2) and by a name ($3), for who has waited for the row of the parent:
-- another caller may have stored it meanwhile. VOLATILE and without names, as better_auth_count.
CREATE OR REPLACE FUNCTION better_auth_has(TEXT, TEXT, TEXT) RETURNS BOOLEAN LANGUAGE sql VOLATILE AS $$
    SELECT CASE $1
        WHEN 'organization' THEN EXISTS (SELECT FROM organization WHERE organization.slug = $3)
        WHEN 'member' THEN EXISTS (SELECT FROM member WHERE member.organization_id = $2 AND member.user_id = $3)
        WHEN 'invitation' THEN EXISTS (SELECT FROM invitation WHERE invitation.organization_id = $2
            AND invitation.email = $3 AND invitation.status = 'pending' AND invitation.expires_at > statement_timestamp())
        WHEN 'team member' THEN EXISTS (SELECT FROM team_member WHERE team_member.team_id = $2 AND team_member.user_id = $3)
    END
$$;
