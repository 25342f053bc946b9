ALTER TABLE users ADD COLUMN factor_required BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN delete_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX users_delete_at ON users (delete_at);
CREATE TABLE devices (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	user_id VARCHAR(36) NOT NULL,
	hash VARCHAR(64) NOT NULL,
	agent VARCHAR(256) NOT NULL,
	address VARCHAR(64) NOT NULL,
	created_at BIGINT NOT NULL,
	used_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX devices_user_id ON devices (user_id, hash);
CREATE INDEX devices_expires_at ON devices (expires_at);
CREATE TABLE erased (
	user_id VARCHAR(36) NOT NULL PRIMARY KEY,
	signature VARCHAR(64) NOT NULL,
	erased_at BIGINT NOT NULL
);
CREATE INDEX events_actor_id ON events (actor_id, id);
CREATE INDEX events_target ON events (target, id);
