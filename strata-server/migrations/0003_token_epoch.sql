-- Grows when a user's tokens are revoked: access tokens carry the epoch they were issued in.
ALTER TABLE users ADD COLUMN token_epoch BIGINT NOT NULL DEFAULT 0;
