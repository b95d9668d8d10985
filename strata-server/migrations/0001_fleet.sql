-- Portable between SQLite and PostgreSQL: identifiers and hashes are TEXT, times are milliseconds
-- since the Unix epoch in BIGINT, placeholders are $1, $2, …

CREATE TABLE users (
    id            TEXT   NOT NULL PRIMARY KEY,
    email         TEXT   NOT NULL UNIQUE,
    password_hash TEXT   NOT NULL,
    role          TEXT   NOT NULL,
    account       TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    disabled_at   BIGINT
);

CREATE TABLE refresh_tokens (
    hash       TEXT   NOT NULL PRIMARY KEY,
    family     TEXT   NOT NULL,
    user_id    TEXT   NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    revoked_at BIGINT
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

CREATE TABLE senders (
    id              TEXT   NOT NULL PRIMARY KEY,
    owner           TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    enrolled_at     BIGINT,
    revoked_at      BIGINT,
    public_key      TEXT,
    device_key_hash TEXT,
    hostname        TEXT,
    agent_version   TEXT,
    arch            TEXT,
    capabilities    TEXT,
    last_seen       BIGINT,
    presence_cause  TEXT
);
CREATE INDEX senders_owner ON senders (owner);

CREATE TABLE enrollment_tokens (
    hash       TEXT   NOT NULL PRIMARY KEY,
    sender_id  TEXT   NOT NULL REFERENCES senders (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX enrollment_tokens_expires_at ON enrollment_tokens (expires_at);

CREATE TABLE audit (
    id      TEXT   NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    action  TEXT   NOT NULL,
    target  TEXT,
    address TEXT,
    detail  TEXT
);
CREATE INDEX audit_at ON audit (at);
