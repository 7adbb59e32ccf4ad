-- Files, what their bytes are made of, and uploads in parts.

CREATE TABLE files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    filename TEXT NOT NULL,
    purpose TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    -- From then on there is no such file. Null: never.
    expires_at BIGINT,
    status TEXT NOT NULL,
    UNIQUE (workspace_id, id)
);
CREATE INDEX files_list ON files (workspace_id, seq);
CREATE INDEX files_of_purpose ON files (workspace_id, purpose, seq);
CREATE INDEX files_due ON files (expires_at) WHERE expires_at IS NOT NULL;

-- An object where the bytes are kept, under the key `workspace_id/id`. No id is ever given out
-- twice: what is deleted under a key is never what somebody else has just written.
CREATE TABLE blobs (
    workspace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    -- `pending`: being written. `ready`: has its bytes, and is referred to. `damaged`: the same,
    -- but its bytes are not what they were. `doomed`: nobody's; the object goes, then the row.
    state TEXT NOT NULL,
    -- BLAKE3, as hex. Null while pending.
    hash TEXT,
    bytes BIGINT NOT NULL,
    -- When the sweeper takes it, unless it is touched. Null: it is referred to.
    due_at BIGINT,
    PRIMARY KEY (workspace_id, id)
) WITHOUT ROWID;
-- Finds bytes that are there already; only within a workspace.
CREATE INDEX blobs_of_hash ON blobs (workspace_id, hash) WHERE state = 'ready';
CREATE INDEX blobs_due ON blobs (due_at) WHERE due_at IS NOT NULL;

-- The bytes of a file: blobs one after the other.
CREATE TABLE file_blobs (
    workspace_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    -- From 0.
    number BIGINT NOT NULL,
    blob_id TEXT NOT NULL,
    PRIMARY KEY (workspace_id, file_id, number),
    FOREIGN KEY (workspace_id, file_id) REFERENCES files (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, blob_id) REFERENCES blobs (workspace_id, id)
) WITHOUT ROWID;
CREATE INDEX file_blobs_of_blob ON file_blobs (workspace_id, blob_id);

-- Whose `tool_resources` name a file: an assistant or a thread.
CREATE TABLE file_users (
    workspace_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (workspace_id, file_id, user_id),
    FOREIGN KEY (workspace_id, file_id) REFERENCES files (workspace_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX file_users_of_user ON file_users (workspace_id, user_id);

CREATE TABLE uploads (
    workspace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- From then on it takes nothing more.
    expires_at BIGINT NOT NULL,
    filename TEXT NOT NULL,
    purpose TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    -- Seconds after its creation; what becomes of the file.
    file_expires_after BIGINT,
    -- `pending`, `completed`, `cancelled` or `expired`.
    status TEXT NOT NULL,
    -- Once it is completed: the file, and what was asked for.
    file_id TEXT,
    completion TEXT,
    PRIMARY KEY (workspace_id, id)
) WITHOUT ROWID;
CREATE INDEX uploads_pending ON uploads (expires_at) WHERE status = 'pending';
CREATE INDEX uploads_expired ON uploads (expires_at);

CREATE TABLE upload_parts (
    workspace_id TEXT NOT NULL,
    upload_id TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    blob_id TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, upload_id, id),
    FOREIGN KEY (workspace_id, upload_id) REFERENCES uploads (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, blob_id) REFERENCES blobs (workspace_id, id)
) WITHOUT ROWID;
CREATE INDEX upload_parts_of_blob ON upload_parts (workspace_id, blob_id);

-- What one process does for all: until when it has it.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    lease_until BIGINT NOT NULL
) WITHOUT ROWID;
