ALTER TABLE services ADD COLUMN algorithm VARCHAR(16) NOT NULL DEFAULT 'ES256';
ALTER TABLE services ADD COLUMN scopes VARCHAR(4096) NOT NULL DEFAULT '';
ALTER TABLE services ADD COLUMN jwks TEXT;
ALTER TABLE services ADD COLUMN logout_uri VARCHAR(2048) NOT NULL DEFAULT '';
ALTER TABLE services ADD COLUMN no_pkce BIGINT NOT NULL DEFAULT 0;
ALTER TABLE services ADD COLUMN pushed_only BIGINT NOT NULL DEFAULT 0;
ALTER TABLE services ADD COLUMN dpop BIGINT NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN algorithm VARCHAR(16) NOT NULL DEFAULT 'ES256';
ALTER TABLE service_sessions ADD COLUMN offline BIGINT NOT NULL DEFAULT 0;
ALTER TABLE service_sessions ADD COLUMN scopes TEXT;
ALTER TABLE service_sessions ADD COLUMN resources TEXT;
ALTER TABLE service_sessions ADD COLUMN amr VARCHAR(64) NOT NULL DEFAULT '';
ALTER TABLE service_sessions ADD COLUMN auth_time BIGINT NOT NULL DEFAULT 0;
ALTER TABLE service_sessions ADD COLUMN act_id VARCHAR(36) NOT NULL DEFAULT '';
ALTER TABLE service_sessions ADD COLUMN key_hash VARCHAR(64) NOT NULL DEFAULT '';
CREATE INDEX service_sessions_root_id ON service_sessions (root_id);
CREATE TABLE grant_codes (
	hash VARCHAR(64) NOT NULL PRIMARY KEY,
	session_id VARCHAR(36) NOT NULL,
	redirect_uri TEXT NOT NULL,
	challenge VARCHAR(128) NOT NULL,
	nonce TEXT NOT NULL,
	used_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX grant_codes_session_id ON grant_codes (session_id);
CREATE INDEX grant_codes_expires_at ON grant_codes (expires_at);
CREATE TABLE refresh_tokens (
	hash VARCHAR(64) NOT NULL PRIMARY KEY,
	session_id VARCHAR(36) NOT NULL,
	salt VARCHAR(128) NOT NULL,
	used_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX refresh_tokens_session_id ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);
CREATE TABLE grant_tokens (
	hash VARCHAR(64) NOT NULL PRIMARY KEY,
	session_id VARCHAR(36) NOT NULL,
	service_id VARCHAR(36) NOT NULL,
	scopes TEXT NOT NULL,
	resources TEXT NOT NULL,
	key_hash VARCHAR(64) NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX grant_tokens_session_id ON grant_tokens (session_id);
CREATE INDEX grant_tokens_service_id ON grant_tokens (service_id);
CREATE INDEX grant_tokens_expires_at ON grant_tokens (expires_at);
CREATE TABLE revoked_tokens (
	hash VARCHAR(64) NOT NULL PRIMARY KEY,
	expires_at BIGINT NOT NULL
);
CREATE INDEX revoked_tokens_expires_at ON revoked_tokens (expires_at);
CREATE TABLE pushed_requests (
	hash VARCHAR(64) NOT NULL PRIMARY KEY,
	service_id VARCHAR(36) NOT NULL,
	form TEXT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX pushed_requests_service_id ON pushed_requests (service_id);
CREATE INDEX pushed_requests_expires_at ON pushed_requests (expires_at);
CREATE TABLE device_grants (
	device VARCHAR(64) NOT NULL PRIMARY KEY,
	user_code VARCHAR(64) NOT NULL,
	service_id VARCHAR(36) NOT NULL,
	scopes TEXT NOT NULL,
	resources TEXT NOT NULL,
	address VARCHAR(64) NOT NULL,
	agent VARCHAR(256) NOT NULL,
	status VARCHAR(16) NOT NULL,
	user_id VARCHAR(36) NOT NULL,
	session_id VARCHAR(36) NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX device_grants_user_code ON device_grants (user_code);
CREATE INDEX device_grants_service_id ON device_grants (service_id);
CREATE INDEX device_grants_user_id ON device_grants (user_id);
CREATE INDEX device_grants_expires_at ON device_grants (expires_at);
CREATE TABLE consents (
	user_id VARCHAR(36) NOT NULL,
	service_id VARCHAR(36) NOT NULL,
	scopes TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (user_id, service_id)
);
CREATE INDEX consents_service_id ON consents (service_id);
CREATE TABLE logout_notices (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	service_id VARCHAR(36) NOT NULL,
	user_id VARCHAR(36) NOT NULL,
	session_id VARCHAR(36) NOT NULL,
	tries BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	due_at BIGINT NOT NULL
);
CREATE INDEX logout_notices_due_at ON logout_notices (due_at, id);
CREATE INDEX logout_notices_service_id ON logout_notices (service_id);
