-- Whose file is indexed next: workspaces take turns, and in each its stores.
DROP INDEX vector_store_files_queue;
CREATE INDEX vector_store_files_queue ON vector_store_files (lease_until, workspace_id, store_id, seq)
    WHERE lease_until IS NOT NULL;
