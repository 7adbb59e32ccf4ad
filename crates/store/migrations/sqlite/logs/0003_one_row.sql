-- A record is one row: writing two cost more than the longer stretch costs whoever reads. Only bodies,
-- which few keep and which are long, lie apart.
ALTER TABLE logs ADD COLUMN details TEXT NOT NULL DEFAULT '{}';

UPDATE logs SET details = log_details.details
FROM log_details
WHERE log_details.workspace_id = logs.workspace_id AND log_details.id = logs.id;

CREATE TABLE log_bodies (
    workspace_id TEXT NOT NULL,
    id TEXT NOT NULL,
    request_body TEXT,
    response_body TEXT,
    PRIMARY KEY (workspace_id, id)
) WITHOUT ROWID;

INSERT INTO log_bodies (workspace_id, id, request_body, response_body)
SELECT workspace_id, id, request_body, response_body FROM log_details
WHERE request_body IS NOT NULL OR response_body IS NOT NULL;

DROP TABLE log_details;
