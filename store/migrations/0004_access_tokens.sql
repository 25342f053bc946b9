CREATE TABLE access_tokens (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	user_id VARCHAR(36) NOT NULL,
	name VARCHAR(64) NOT NULL,
	token_hash VARCHAR(64) NOT NULL,
	hosts TEXT NOT NULL,
	paths TEXT NOT NULL,
	scopes TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	last_seen_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX access_tokens_token_hash ON access_tokens (token_hash);
CREATE INDEX access_tokens_user_id ON access_tokens (user_id);
CREATE INDEX access_tokens_expires_at ON access_tokens (expires_at);
