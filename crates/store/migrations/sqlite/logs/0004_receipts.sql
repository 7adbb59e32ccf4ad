-- Creations under an `Idempotency-Key` of what is kept here: feedback, exports, records of calls that went
-- elsewhere. As `receipts` of the other database.
CREATE TABLE log_receipts (
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
CREATE INDEX log_receipts_created ON log_receipts (created_at);
