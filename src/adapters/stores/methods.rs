//! The lists of the stores' methods.

/// Calls a macro once for each store, with its own arguments, and behind them the method of
/// [`DatabaseAdapter`](crate::DatabaseAdapter), the trait, and the list of its methods:
/// `name! { arguments… store -> Trait { method(argument: Type) -> Answer; … } }`.
#[doc(hidden)]
#[macro_export]
macro_rules! with_store_methods {
    ($name:path { $($arguments:tt)* }) => {
        $name! {
            $($arguments)*
            organizations -> $crate::adapters::OrganizationStore {
                create_organization(
                    organization: $crate::CreateOrganization
                ) -> ($crate::Organization, $crate::Member);
                get_organization(id: &str) -> Option<$crate::Organization>;
                get_organization_by_slug(slug: &str) -> Option<$crate::Organization>;
                get_organizations_by_ids(ids: &[String]) -> Vec<$crate::Organization>;
                list_user_organizations(user_id: &str) -> Vec<($crate::Organization, $crate::Member)>;
                list_organizations_without_owner() -> Vec<$crate::Organization>;
                update_organization(
                    id: &str, update: $crate::UpdateOrganization
                ) -> $crate::Organization;
                delete_organization(id: &str) -> ();
                create_member(member: $crate::CreateMember) -> $crate::Member;
                get_member(organization_id: &str, user_id: &str) -> Option<$crate::Member>;
                get_member_by_id(id: &str) -> Option<$crate::Member>;
                list_members(query: $crate::ListMembers) -> $crate::MemberPage;
                count_members(organization_id: &str) -> u64;
                update_member_role(
                    organization_id: &str, user_id: &str, role: &str
                ) -> $crate::Member;
                remove_member(organization_id: &str, user_id: &str) -> ();
                create_invitation(invitation: $crate::CreateInvitation) -> $crate::Invitation;
                get_invitation(id: &str) -> Option<$crate::InvitationDetails>;
                list_invitations(organization_id: &str) -> Vec<$crate::Invitation>;
                list_pending_invitations(email: &str) -> Vec<$crate::Invitation>;
                accept_invitation(
                    id: &str, user_id: &str, require_verified_email: bool,
                    limits: $crate::MemberLimits
                ) -> ($crate::Invitation, $crate::Member);
                reject_invitation(id: &str, user_id: &str) -> $crate::Invitation;
                cancel_invitation(organization_id: &str, id: &str) -> $crate::Invitation;
                create_team(team: $crate::CreateTeam) -> $crate::Team;
                get_team(id: &str) -> Option<$crate::Team>;
                list_teams(organization_id: &str) -> Vec<$crate::Team>;
                list_user_teams(user_id: &str) -> Vec<$crate::Team>;
                rename_team(id: &str, name: &str) -> $crate::Team;
                delete_team(id: &str) -> ();
                create_team_member(member: $crate::CreateTeamMember) -> $crate::TeamMember;
                list_team_members(team_id: &str) -> Vec<$crate::TeamMember>;
                remove_team_member(team_id: &str, user_id: &str) -> ();
                create_organization_role(
                    role: $crate::CreateOrganizationRole
                ) -> $crate::OrganizationRole;
                get_organization_role(
                    organization_id: &str, role: &str
                ) -> Option<$crate::OrganizationRole>;
                list_organization_roles(organization_id: &str) -> Vec<$crate::OrganizationRole>;
                update_organization_role(
                    organization_id: &str, role: &str, permission: $crate::Metadata
                ) -> $crate::OrganizationRole;
                delete_organization_role(organization_id: &str, role: &str) -> ();
            }
        }
        $name! {
            $($arguments)*
            rate_limits -> $crate::adapters::RateLimitStore {
                take(key: &str, max: u32, window: std::time::Duration) -> $crate::RateLimit;
            }
        }
        $name! {
            $($arguments)*
            signing_keys -> $crate::adapters::SigningKeyStore {
                current() -> Option<$crate::SigningKey>;
                list_signing_keys() -> Vec<$crate::SigningKey>;
                rotate(
                    new: $crate::CreateSigningKey, older_than: std::time::Duration
                ) -> $crate::SigningKey;
            }
        }
        $name! {
            $($arguments)*
            two_factor -> $crate::adapters::TwoFactorStore {
                enroll(
                    user_id: &str, secret: &str, backup_codes: Option<&str>
                ) -> $crate::TwoFactor;
                confirm(user_id: &str, step: i64) -> $crate::TwoFactor;
                disable(user_id: &str) -> ();
                begin_attempt(
                    user_id: &str, max_failures: u32, lock_for: std::time::Duration
                ) -> $crate::Attempt;
                accept_step(user_id: &str, step: i64) -> $crate::StepOutcome;
                replace_backup_codes(
                    user_id: &str, expected: Option<&str>, new: Option<&str>
                ) -> bool;
            }
        }
        $name! {
            $($arguments)*
            passkeys -> $crate::adapters::PasskeyStore {
                create_passkey(passkey: $crate::CreatePasskey) -> $crate::Passkey;
                get_passkey_with_user(
                    credential_id: &str
                ) -> Option<($crate::Passkey, $crate::User)>;
                list_passkeys(user_id: &str) -> Vec<$crate::Passkey>;
                rename_passkey(user_id: &str, id: &str, name: &str) -> $crate::Passkey;
                delete_passkey(user_id: &str, id: &str) -> ();
                record_use(
                    credential_id: &str, counter: i64, backed_up: bool
                ) -> $crate::PasskeyUse;
            }
        }
        $name! {
            $($arguments)*
            device_codes -> $crate::adapters::DeviceCodeStore {
                create_device_code(code: $crate::CreateDeviceCode) -> $crate::IssuedDeviceCode;
                get_device_code(user_code: &str) -> Option<$crate::DeviceCode>;
                approve(user_code: &str, user_id: &str) -> bool;
                deny(user_code: &str) -> bool;
                poll(device_code: &str, client_id: Option<&str>) -> $crate::DevicePoll;
            }
        }
        $name! {
            $($arguments)*
            api_keys -> $crate::adapters::ApiKeyStore {
                create_api_key(key: $crate::CreateApiKey) -> $crate::IssuedApiKey;
                get_api_key(id: &str) -> Option<$crate::ApiKey>;
                list_api_keys(query: $crate::ListApiKeys) -> $crate::ApiKeyPage;
                update_api_key(id: &str, update: $crate::UpdateApiKey) -> $crate::ApiKey;
                delete_api_key(id: &str) -> ();
                use_key(key: &str) -> $crate::ApiKeyUse;
            }
        }
    };
}
