-- Logs lie along (workspace, id), and ids sort by time: a query of a span of time reads one
-- stretch of this table and nothing else, and a new row goes to an end. What is neither filtered
-- nor summed lies apart, so that the stretch stays short.
--
-- The ids compare as bytes, whatever the language of the database.
--
-- Times are milliseconds, durations microseconds, costs billionths of a dollar.
CREATE TABLE logs (
    workspace_id TEXT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    created_at_ms BIGINT NOT NULL,
    kind TEXT NOT NULL,
    status BIGINT NOT NULL,
    -- 1: the status is 400 or more, or it failed with another.
    failed BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    cache TEXT NOT NULL,
    prompt_tokens BIGINT,
    completion_tokens BIGINT,
    cached_tokens BIGINT,
    reasoning_tokens BIGINT,
    cost BIGINT,
    total_us BIGINT NOT NULL,
    first_byte_us BIGINT,
    overhead_us BIGINT NOT NULL,
    api_key TEXT NOT NULL,
    virtual_key TEXT,
    config TEXT,
    provider TEXT NOT NULL,
    model TEXT,
    served_model TEXT,
    trace_id TEXT NOT NULL,
    run_id TEXT,
    thread_id TEXT,
    metadata TEXT NOT NULL,
    PRIMARY KEY (workspace_id, id)
);

CREATE TABLE log_details (
    workspace_id TEXT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    details TEXT NOT NULL,
    request_body TEXT,
    response_body TEXT,
    PRIMARY KEY (workspace_id, id)
);

CREATE TABLE feedback (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    -- Seconds.
    created_at BIGINT NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (workspace_id, id)
);
CREATE INDEX feedback_of_trace ON feedback (workspace_id, trace_id, seq);
CREATE INDEX feedback_time ON feedback (workspace_id, created_at);
