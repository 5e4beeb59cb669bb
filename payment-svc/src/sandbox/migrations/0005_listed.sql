-- For listing sessions, newest first.
CREATE INDEX sessions_listed ON sandbox.sessions (created_at, session_id);
