CREATE TABLE profiles (
    user_id TEXT PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
    handle TEXT NOT NULL CONSTRAINT profiles_handle_key UNIQUE
);

-- Without a reference to users: what was promised is delivered, whatever becomes of the user.
CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic TEXT NOT NULL,
    user_id TEXT NOT NULL
);
