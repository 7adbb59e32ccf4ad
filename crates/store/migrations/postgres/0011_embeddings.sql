-- Which text a vector is of, and what made it: the same text is not embedded twice. Null: of before.
ALTER TABLE chunk_vectors ADD COLUMN digest BYTEA;
CREATE INDEX chunk_vectors_digest ON chunk_vectors (digest) WHERE digest IS NOT NULL;

-- Its beginning is read without the rest; it does not shrink.
ALTER TABLE chunk_vectors ALTER COLUMN vector SET STORAGE EXTERNAL;

-- Moves whenever a file of the store does, so also whenever other chunks are searched than before.
ALTER TABLE vector_stores ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
