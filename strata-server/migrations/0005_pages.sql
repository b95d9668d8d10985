-- Lists are read in pages, in the order of ids, which is that of creation.
DROP INDEX senders_owner;
CREATE INDEX senders_owner ON senders (owner, id);
DROP INDEX streams_owner;
CREATE INDEX streams_owner ON streams (owner, id);
DROP INDEX streams_created_at;
