-- Soft state, so the server need not write it to its log: limits start anew after a crash.
CREATE UNLOGGED TABLE IF NOT EXISTS rate_limit (
    key TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    window_started_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
