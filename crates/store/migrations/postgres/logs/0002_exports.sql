-- Definitions of exports; what they select is read when it is fetched.
CREATE TABLE log_exports (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (workspace_id, id)
);
CREATE INDEX log_exports_list ON log_exports (workspace_id, seq);
