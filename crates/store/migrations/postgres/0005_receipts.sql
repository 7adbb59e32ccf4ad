-- Creations under an `Idempotency-Key`: written by the transaction that creates, so that a repeat
-- finds the answer exactly where the creation stands.
CREATE TABLE receipts (
    workspace_id TEXT NOT NULL,
    -- The client's.
    idempotency_key TEXT NOT NULL,
    -- A digest of the request.
    fingerprint TEXT NOT NULL,
    -- Of the request that created.
    request_id TEXT NOT NULL,
    answer TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, idempotency_key)
);
CREATE INDEX receipts_created ON receipts (created_at);
