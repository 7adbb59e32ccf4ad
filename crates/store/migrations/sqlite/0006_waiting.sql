-- What waits until a thread is free, in the order in which it came. While there is any, a run is
-- active on the thread: the transaction that ends it takes what comes next.
CREATE TABLE waiting (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id TEXT NOT NULL,
    -- Of the message or the run.
    id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    -- The message. Null: a run, which is a row of `runs` already, queued and without the lock.
    message TEXT,
    -- The run's.
    expires_at BIGINT,
    UNIQUE (workspace_id, id),
    FOREIGN KEY (workspace_id, thread_id) REFERENCES threads (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX waiting_list ON waiting (workspace_id, thread_id, seq);
CREATE INDEX waiting_due ON waiting (expires_at) WHERE expires_at IS NOT NULL;
