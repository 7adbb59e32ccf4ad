-- The text of indexed files in pieces, their vectors, and the words in them.

CREATE TABLE chunks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id TEXT NOT NULL,
    -- `seq` of the file in its store.
    entry BIGINT NOT NULL,
    -- Searched while the file shows this one.
    generation BIGINT NOT NULL,
    -- From 0.
    position BIGINT NOT NULL,
    -- Where in the file's text it begins, in bytes.
    start BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    text TEXT NOT NULL
);
CREATE UNIQUE INDEX chunks_of_entry ON chunks (workspace_id, entry, generation, position);

-- Apart from the texts, so that reading all of them reads nothing else.
CREATE TABLE chunk_vectors (
    seq INTEGER PRIMARY KEY REFERENCES chunks (seq) ON DELETE CASCADE,
    vector BLOB NOT NULL
);

-- Which words are in which chunk, and which store it belongs to. Made from the texts;
-- English ones as their stems.
CREATE VIRTUAL TABLE chunk_terms USING fts5
    (scope, terms, content = '', contentless_delete = 1, tokenize = 'porter ascii');
INSERT INTO chunk_terms (chunk_terms, rank) VALUES ('rank', 'bm25(0.0, 1.0)');
