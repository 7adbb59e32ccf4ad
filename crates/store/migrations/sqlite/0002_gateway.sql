-- The gateway: keys with settings, virtual keys, configs, counters, affinity; sealed parts of runs.

-- What a key may do was not written down so far: everything but administration, except for the key
-- that the first start makes, which is the operator's.
CREATE TABLE api_keys_new (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    hint TEXT NOT NULL,
    -- The hash that a rotation replaced, and until when it is good.
    previous_hash TEXT,
    previous_until BIGINT,
    settings TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revoked_at BIGINT
);
INSERT INTO api_keys_new (seq, id, workspace_id, name, hash, hint, settings, created_at,
    updated_at, revoked_at)
SELECT seq, id, workspace_id, name, hash, hint,
    json_object(
        'scopes', CASE WHEN seq = (SELECT MIN(seq) FROM api_keys WHERE name = 'first')
            THEN json('["admin"]')
            ELSE json('["completions.write","logs.list","logs.view","logs.export","logs.write","analytics.view"]')
        END,
        'usage_since', created_at,
        'default_virtual_key', default_virtual_key),
    created_at, COALESCE(revoked_at, created_at), revoked_at
FROM api_keys;
DROP TABLE api_keys;
ALTER TABLE api_keys_new RENAME TO api_keys;
CREATE INDEX api_keys_previous ON api_keys (previous_hash) WHERE previous_hash IS NOT NULL;
CREATE INDEX api_keys_list ON api_keys (workspace_id, seq);

CREATE TABLE virtual_keys (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id TEXT NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    provider TEXT NOT NULL,
    sealed_key TEXT,
    masked_key TEXT,
    settings TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (workspace_id, slug)
);
CREATE INDEX virtual_keys_list ON virtual_keys (workspace_id, seq);

CREATE TABLE configs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id TEXT NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    -- The newest of its versions.
    version_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (workspace_id, slug)
);
CREATE INDEX configs_list ON configs (workspace_id, seq);

CREATE TABLE config_versions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id TEXT NOT NULL,
    slug TEXT NOT NULL,
    id TEXT NOT NULL,
    config TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (workspace_id, slug, id),
    FOREIGN KEY (workspace_id, slug) REFERENCES configs (workspace_id, slug) ON DELETE CASCADE
);
CREATE INDEX config_versions_list ON config_versions (workspace_id, slug, seq);

-- How much of a limit is used up. Subjects name their workspace themselves.
CREATE TABLE counters (
    subject TEXT NOT NULL,
    -- `budget:cost`, `requests:rph`.
    meter TEXT NOT NULL,
    -- When the window begins.
    start BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (subject, meter, start)
) WITHOUT ROWID;
CREATE INDEX counters_start ON counters (start);

-- Which target of a config keeps an object that lives at a provider.
CREATE TABLE affinity (
    workspace_id TEXT NOT NULL,
    object_id TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (workspace_id, object_id)
) WITHOUT ROWID;

-- Credentials and configs that came with the request, sealed. Null once the run has ended.
ALTER TABLE runs ADD COLUMN sealed TEXT;
