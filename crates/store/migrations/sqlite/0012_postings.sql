-- A word of a chunk with its store and its impact is one token: what a search reads is its own stores' alone, and ranked.
DROP TABLE chunk_terms;
CREATE VIRTUAL TABLE chunk_terms USING fts5
    (terms, content = '', contentless_delete = 1, detail = none, tokenize = "ascii tokenchars '/'");
-- A search looks into each part of the index: few of them, for somewhat more work at writing.
INSERT INTO chunk_terms (chunk_terms, rank) VALUES ('automerge', 2);

-- From which chunk on the words are to be made anew, by the next start.
INSERT INTO marks (name, mark) SELECT 'words_from', '0' WHERE EXISTS (SELECT 1 FROM chunks);
