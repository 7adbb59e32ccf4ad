-- Vector stores, the files in them, and batches of files. A file in a store is a row that is its own
-- entry in the queue of indexing, as a run is.

CREATE TABLE vector_stores (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    name TEXT,
    description TEXT,
    metadata TEXT NOT NULL,
    -- Days without activity. Null: it never expires.
    expires_after_days BIGINT,
    last_active_at BIGINT NOT NULL,
    -- Of its files: how many are in which status, and what they take; moved with them.
    in_progress BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    usage_bytes BIGINT NOT NULL,
    -- Chunks that are searched.
    chunks BIGINT NOT NULL,
    -- Not null: there is no such store any more, and what is left of it goes piece by piece.
    deleted_at BIGINT,
    UNIQUE (workspace_id, id)
);
CREATE INDEX vector_stores_list ON vector_stores (workspace_id, seq) WHERE deleted_at IS NULL;
CREATE INDEX vector_stores_deleted ON vector_stores (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE vector_store_batches (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    store_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- 1: the files that were in progress then will not be indexed.
    is_cancelled BIGINT NOT NULL,
    in_progress BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    UNIQUE (workspace_id, id),
    FOREIGN KEY (workspace_id, store_id) REFERENCES vector_stores (workspace_id, id)
);
CREATE INDEX vector_store_batches_of_store ON vector_store_batches (workspace_id, store_id, seq);

CREATE TABLE vector_store_files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id TEXT NOT NULL,
    store_id TEXT NOT NULL,
    file_id TEXT NOT NULL,
    -- The batch that it came with last.
    batch_id TEXT,
    created_at BIGINT NOT NULL,
    -- `in_progress`, `completed`, `failed` or `cancelled`.
    status TEXT NOT NULL,
    -- Not null exactly when it has failed.
    error TEXT,
    chunk_tokens BIGINT NOT NULL,
    overlap_tokens BIGINT NOT NULL,
    attributes TEXT NOT NULL,
    usage_bytes BIGINT NOT NULL,
    -- Counts how often it is indexed anew. Chunks are written under this number,
    generation BIGINT NOT NULL,
    -- so many so far;
    written BIGINT NOT NULL,
    -- those of this one are searched. Null: none.
    shown BIGINT,
    shown_chunks BIGINT NOT NULL,
    -- What made their vectors. Null: they have none.
    embedding TEXT,
    -- Counts the leases given out, and what else takes them away.
    fence BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    lease_owner TEXT,
    -- Milliseconds. Null: no worker is wanted. 0: one is. Otherwise: one has it until then or, where
    -- there is no owner, none is wanted before.
    lease_until BIGINT,
    UNIQUE (workspace_id, store_id, file_id),
    FOREIGN KEY (workspace_id, store_id) REFERENCES vector_stores (workspace_id, id),
    FOREIGN KEY (workspace_id, batch_id) REFERENCES vector_store_batches (workspace_id, id)
);
CREATE INDEX vector_store_files_list ON vector_store_files (workspace_id, store_id, seq);
CREATE INDEX vector_store_files_status ON vector_store_files (workspace_id, store_id, status, seq);
CREATE INDEX vector_store_files_batch ON vector_store_files (workspace_id, batch_id, seq)
    WHERE batch_id IS NOT NULL;
CREATE INDEX vector_store_files_batch_status ON vector_store_files
    (workspace_id, batch_id, status, seq) WHERE batch_id IS NOT NULL;
CREATE INDEX vector_store_files_of_file ON vector_store_files (workspace_id, file_id);
CREATE INDEX vector_store_files_queue ON vector_store_files (lease_until, seq)
    WHERE lease_until IS NOT NULL;

-- Chunks that nobody will search any more: of a file that was indexed anew, or taken out, and of an
-- attempt that came to nothing. They go piece by piece.
CREATE TABLE chunk_garbage (
    workspace_id TEXT NOT NULL,
    entry BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, entry, generation)
) WITHOUT ROWID;
