CREATE TABLE idempotency_keys (
	id VARCHAR(64) NOT NULL PRIMARY KEY,
	body VARCHAR(64) NOT NULL,
	claim VARCHAR(36) NOT NULL,
	answer TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at);
CREATE INDEX users_status ON users (status, username_key);
CREATE INDEX users_owner ON users (owner, username_key);
CREATE INDEX events_action ON events (action, id);
