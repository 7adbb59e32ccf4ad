-- Runs that are carried out at a provider and were seen before their end. There are never many: each
-- is gone once it was counted, and soon after it has expired.
CREATE TABLE open_runs (
    workspace_id TEXT NOT NULL,
    account TEXT NOT NULL,
    run_id TEXT NOT NULL,
    -- From then on nobody waits for its end; unix seconds.
    until BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, account, run_id)
);
