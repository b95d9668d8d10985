-- One row per broadcast. `presumed` marks an end that nobody observed: it is taken back when the
-- agent reports the stream after all.

CREATE TABLE streams (
    id         TEXT   NOT NULL PRIMARY KEY,
    sender_id  TEXT   NOT NULL REFERENCES senders (id),
    owner      TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    live_at    BIGINT,
    ended_at   BIGINT,
    end_reason TEXT,
    error      TEXT,
    presumed   BIGINT NOT NULL DEFAULT 0,
    ports      TEXT   NOT NULL,
    latency_ms BIGINT NOT NULL,
    recording  TEXT
);

-- At most one stream of a sender that is not over: of two starts at once, one is refused here.
CREATE UNIQUE INDEX streams_one_active_per_sender ON streams (sender_id)
    WHERE state IN ('starting', 'live', 'stopping');
CREATE INDEX streams_owner ON streams (owner, created_at);
CREATE INDEX streams_created_at ON streams (created_at);
