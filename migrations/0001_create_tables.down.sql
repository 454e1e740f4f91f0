DROP TABLE IF EXISTS verifications, accounts, sessions, users;
