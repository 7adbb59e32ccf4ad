-- What tells whether a process has the keys that this database was written with. Each is made from a
-- secret that is kept elsewhere, and says nothing about it.
CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    mark TEXT NOT NULL
) WITHOUT ROWID;
