-- Every table has a hidden, monotonic `seq`: objects share seconds, so lists travel along it.
-- The tenant stands first in every key and index of tenant data. Times are unix seconds unless
-- noted; JSON is text.
--
-- The twin of the step of this number for SQLite, in what PostgreSQL and the databases that speak
-- its language share. API keys come with the next step: no such database had them in their first
-- form.

CREATE TABLE workspaces (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE assistants (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (workspace_id, id)
);
CREATE INDEX assistants_list ON assistants (workspace_id, seq);

CREATE TABLE threads (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    metadata TEXT NOT NULL,
    tool_resources TEXT NOT NULL,
    UNIQUE (workspace_id, id)
);

CREATE TABLE messages (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    run_id TEXT,
    assistant_id TEXT,
    created_at BIGINT NOT NULL,
    role TEXT NOT NULL,
    -- The name of `state`, for queries.
    status TEXT NOT NULL,
    state TEXT NOT NULL,
    metadata TEXT NOT NULL,
    attachments TEXT NOT NULL,
    content TEXT NOT NULL,
    UNIQUE (workspace_id, id),
    FOREIGN KEY (workspace_id, thread_id) REFERENCES threads (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX messages_list ON messages (workspace_id, thread_id, seq);
CREATE INDEX messages_of_run ON messages (workspace_id, thread_id, run_id, seq)
    WHERE run_id IS NOT NULL;

CREATE TABLE runs (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    assistant_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- The name of `state`, for queries.
    status TEXT NOT NULL,
    -- Not null exactly while the run is active, that is, while it locks its thread.
    expires_at BIGINT,
    -- Counts the changes of state; metadata apart.
    version BIGINT NOT NULL,
    -- Counts the leases given out; whoever holds an older one has lost the run.
    fence BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    lease_owner TEXT,
    -- Milliseconds. Null: no worker is wanted. 0: one is. Otherwise: one has it until then.
    lease_until BIGINT,
    state TEXT NOT NULL,
    usage TEXT NOT NULL,
    metadata TEXT NOT NULL,
    settings TEXT NOT NULL,
    UNIQUE (workspace_id, id),
    FOREIGN KEY (workspace_id, thread_id) REFERENCES threads (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX runs_list ON runs (workspace_id, thread_id, seq);
-- At most one active run a thread: the lock.
CREATE UNIQUE INDEX runs_active ON runs (workspace_id, thread_id) WHERE expires_at IS NOT NULL;
CREATE INDEX runs_due ON runs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX runs_queue ON runs (lease_until, seq) WHERE lease_until IS NOT NULL;

CREATE TABLE steps (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    assistant_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- The name of `state`, for queries.
    status TEXT NOT NULL,
    state TEXT NOT NULL,
    usage TEXT,
    details TEXT NOT NULL,
    UNIQUE (workspace_id, id),
    FOREIGN KEY (workspace_id, run_id) REFERENCES runs (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX steps_list ON steps (workspace_id, run_id, seq);
