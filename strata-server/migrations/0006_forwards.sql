-- Whether a stream's receiver forwards it. Where to is kept in memory only: it may hold a key.
ALTER TABLE streams ADD COLUMN forwards BIGINT NOT NULL DEFAULT 0;
