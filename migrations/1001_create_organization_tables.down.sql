DROP TABLE IF EXISTS organization_role, team_member, invitation, team, member, organization;
