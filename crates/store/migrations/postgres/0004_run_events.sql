-- The journal of stream events. A row is what one commit or one flush of deltas told: `events`
-- events, the last of which is `attempt.number`, the first `events - 1` numbers before it.
CREATE TABLE run_events (
    workspace_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    -- The fence of the lease under which they were told.
    attempt BIGINT NOT NULL,
    number BIGINT NOT NULL,
    events BIGINT NOT NULL,
    -- 1: the leg ends with the last of them.
    ends_leg BIGINT NOT NULL,
    -- The run's, as it was then. Null in rows of deltas.
    metadata TEXT,
    -- What they are made of; the engine's.
    body TEXT NOT NULL,
    -- Milliseconds.
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, run_id, attempt, number),
    FOREIGN KEY (workspace_id, run_id) REFERENCES runs (workspace_id, id) ON DELETE CASCADE
);

-- What is kept of the run's events. Null: nothing, or nothing any more.
ALTER TABLE runs ADD COLUMN journal TEXT;
-- Milliseconds; when the run ended, as long as it has a journal.
ALTER TABLE runs ADD COLUMN journal_ended_at BIGINT;
CREATE INDEX runs_journal_ended ON runs (journal_ended_at) WHERE journal_ended_at IS NOT NULL;
