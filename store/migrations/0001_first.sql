CREATE TABLE users (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	username VARCHAR(64) NOT NULL,
	username_key VARCHAR(255) NOT NULL,
	email VARCHAR(254) NOT NULL,
	email_key VARCHAR(254),
	email_verified SMALLINT NOT NULL,
	name VARCHAR(128) NOT NULL,
	status VARCHAR(16) NOT NULL,
	owner SMALLINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_username_key ON users (username_key);
CREATE UNIQUE INDEX users_email_key ON users (email_key);

CREATE TABLE user_groups (
	user_id VARCHAR(36) NOT NULL,
	name VARCHAR(64) NOT NULL,
	PRIMARY KEY (user_id, name)
);
CREATE INDEX user_groups_name ON user_groups (name);

CREATE TABLE passwords (
	user_id VARCHAR(36) NOT NULL PRIMARY KEY,
	hash VARCHAR(255) NOT NULL,
	updated_at BIGINT NOT NULL
);

CREATE TABLE sessions (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	root_id VARCHAR(36) NOT NULL,
	user_id VARCHAR(36) NOT NULL,
	token_hash VARCHAR(64) NOT NULL,
	host VARCHAR(255) NOT NULL,
	amr VARCHAR(64) NOT NULL,
	auth_time BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	last_seen_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	address VARCHAR(64) NOT NULL,
	agent VARCHAR(256) NOT NULL
);
CREATE UNIQUE INDEX sessions_token_hash ON sessions (token_hash);
CREATE INDEX sessions_root_id ON sessions (root_id);
CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

CREATE TABLE codes (
	hash VARCHAR(64) NOT NULL PRIMARY KEY,
	purpose VARCHAR(32) NOT NULL,
	session_id VARCHAR(36) NOT NULL,
	host VARCHAR(255) NOT NULL,
	browser VARCHAR(64) NOT NULL,
	data TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX codes_expires_at ON codes (expires_at);

CREATE TABLE changes (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	changed_at BIGINT NOT NULL,
	kind VARCHAR(16) NOT NULL,
	subject VARCHAR(36) NOT NULL
);
CREATE INDEX changes_changed_at ON changes (changed_at);

CREATE TABLE events (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	occurred_at BIGINT NOT NULL,
	actor_kind VARCHAR(16) NOT NULL,
	actor_id VARCHAR(36) NOT NULL,
	session_id VARCHAR(36) NOT NULL,
	action VARCHAR(64) NOT NULL,
	target VARCHAR(128) NOT NULL,
	outcome VARCHAR(16) NOT NULL,
	details VARCHAR(512) NOT NULL,
	address VARCHAR(64) NOT NULL,
	agent VARCHAR(256) NOT NULL,
	request_id VARCHAR(64) NOT NULL
);
CREATE INDEX events_occurred_at ON events (occurred_at);

CREATE TABLE settings (
	name VARCHAR(64) NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
);
