// Better Auth for main.rs, on the tables of better-auth-rs or on its own: reads calls as lines of JSON, and answers each by a
// line of JSON.
import { createInterface } from "node:readline";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { admin, organization, username } from "better-auth/plugins";
import pg from "pg";

const times = { createdAt: "created_at", updatedAt: "updated_at" };
let resetToken;

// The names that better-auth-rs uses.
const ours = {
  user: { modelName: "users", fields: { emailVerified: "email_verified", ...times } },
  session: {
    modelName: "sessions",
    fields: { userId: "user_id", expiresAt: "expires_at", ipAddress: "ip_address", userAgent: "user_agent", ...times },
  },
  account: {
    modelName: "accounts",
    fields: {
      accountId: "account_id",
      providerId: "provider_id",
      userId: "user_id",
      accessToken: "access_token",
      refreshToken: "refresh_token",
      idToken: "id_token",
      accessTokenExpiresAt: "access_token_expires_at",
      refreshTokenExpiresAt: "refresh_token_expires_at",
      ...times,
    },
  },
  verification: { modelName: "verifications", fields: { expiresAt: "expires_at", ...times } },
  username: { user: { fields: { displayUsername: "display_username" } } },
  admin: {
    user: { fields: { banReason: "ban_reason", banExpires: "ban_expires" } },
    session: { fields: { impersonatedBy: "impersonated_by" } },
  },
  organization: {
    session: { fields: { activeOrganizationId: "active_organization_id" } },
    organization: { fields: { createdAt: "created_at" } },
    member: { fields: { organizationId: "organization_id", userId: "user_id", createdAt: "created_at" } },
    invitation: {
      fields: {
        organizationId: "organization_id",
        inviterId: "inviter_id",
        expiresAt: "expires_at",
        createdAt: "created_at",
      },
    },
  },
};
const hasOwnTables = process.env.OWN_TABLES === "1";
const names = hasOwnTables ? {} : ours;

const options = {
  database: new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 4 }),
  secret: process.env.BETTER_AUTH_SECRET,
  baseURL: "http://localhost:3000",
  logger: { disabled: true },
  telemetry: { enabled: false },
  rateLimit: { enabled: false },
  emailAndPassword: {
    enabled: true,
    sendResetPassword: async ({ token }) => {
      resetToken = token;
    },
  },
  user: { ...names.user, deleteUser: { enabled: true } },
  session: { ...names.session },
  account: { ...names.account },
  verification: { ...names.verification },
  plugins: [
    username({ schema: names.username }),
    admin({ schema: names.admin }),
    ...(hasOwnTables ? [] : [organization({ schema: names.organization, sendInvitationEmail: async () => {} })]),
  ],
};
const auth = betterAuth(options);
if (hasOwnTables) {
  await (await getMigrations(options)).runMigrations();
}

// The signed cookie of a response.
const cookieOf = ({ headers, response }) => ({ ...response, cookie: headers.get("set-cookie").split(";")[0] });

const calls = {
  signUp: async (body) => cookieOf(await auth.api.signUpEmail({ body, returnHeaders: true })),
  signIn: async (body) => cookieOf(await auth.api.signInEmail({ body, returnHeaders: true })),
  session: ({ cookie }) => auth.api.getSession({ headers: new Headers({ cookie }) }),
  signOut: ({ cookie }) => auth.api.signOut({ headers: new Headers({ cookie }) }),
  deleteUser: ({ cookie, password }) => auth.api.deleteUser({ body: { password }, headers: new Headers({ cookie }) }),
  createOrganization: ({ cookie, ...body }) =>
    auth.api.createOrganization({ body, headers: new Headers({ cookie }) }),
  updateOrganization: ({ cookie, organizationId, ...data }) =>
    auth.api.updateOrganization({ body: { organizationId, data }, headers: new Headers({ cookie }) }),
  fullOrganization: ({ cookie, organizationId }) =>
    auth.api.getFullOrganization({ query: { organizationId }, headers: new Headers({ cookie }) }),
  invite: ({ cookie, ...body }) => auth.api.createInvitation({ body, headers: new Headers({ cookie }) }),
  acceptInvitation: ({ cookie, ...body }) => auth.api.acceptInvitation({ body, headers: new Headers({ cookie }) }),
  requestReset: async ({ email }) => {
    await auth.api.requestPasswordReset({ body: { email } });
    return { token: resetToken };
  },
  reset: ({ token, newPassword }) => auth.api.resetPassword({ body: { token, newPassword } }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { call, ...body } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await calls[call](body)) ?? null };
  } catch (error) {
    answer = { error: error.body?.code ?? String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
