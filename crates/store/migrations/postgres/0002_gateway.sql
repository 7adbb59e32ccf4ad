-- The gateway: keys with settings, virtual keys, configs, counters, affinity; sealed parts of runs.

CREATE TABLE api_keys (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
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
CREATE INDEX api_keys_previous ON api_keys (previous_hash) WHERE previous_hash IS NOT NULL;
CREATE INDEX api_keys_list ON api_keys (workspace_id, seq);

CREATE TABLE virtual_keys (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
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
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
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
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
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
);
CREATE INDEX counters_start ON counters (start);

-- Which target of a config keeps an object that lives at a provider.
CREATE TABLE affinity (
    workspace_id TEXT NOT NULL,
    object_id TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (workspace_id, object_id)
);

-- Credentials and configs that came with the request, sealed. Null once the run has ended.
ALTER TABLE runs ADD COLUMN sealed TEXT;
