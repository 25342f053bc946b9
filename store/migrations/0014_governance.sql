CREATE TABLE tiers (
	name VARCHAR(32) NOT NULL PRIMARY KEY,
	services BIGINT NOT NULL,
	members BIGINT NOT NULL,
	features VARCHAR(2048) NOT NULL
);
INSERT INTO tiers (name, services, members, features)
	SELECT name, services, members, features FROM (
		SELECT 'free' AS name, 2 AS services, 3 AS members, '' AS features
		UNION ALL SELECT 'starter', 10, 10, ''
		UNION ALL SELECT 'pro', 50, 50, ''
		UNION ALL SELECT 'enterprise', 0, 0, ''
	) t WHERE NOT EXISTS (SELECT 1 FROM tiers x);
CREATE TABLE overrides (
	organization_id VARCHAR(36) NOT NULL PRIMARY KEY,
	services BIGINT NOT NULL,
	members BIGINT NOT NULL,
	own_features BIGINT NOT NULL,
	features VARCHAR(2048) NOT NULL
);
CREATE TABLE roles (
	organization_id VARCHAR(36) NOT NULL,
	slug VARCHAR(64) NOT NULL,
	name VARCHAR(128) NOT NULL,
	capabilities TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (organization_id, slug)
);
CREATE TABLE invitations (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	organization_id VARCHAR(36) NOT NULL,
	hash VARCHAR(64) NOT NULL,
	email VARCHAR(254) NOT NULL,
	email_key VARCHAR(254) NOT NULL,
	role VARCHAR(64) NOT NULL,
	created_by VARCHAR(36) NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX invitations_hash ON invitations (hash);
CREATE INDEX invitations_organization_id ON invitations (organization_id, id);
CREATE INDEX invitations_created_by ON invitations (created_by);
CREATE INDEX invitations_expires_at ON invitations (expires_at);
CREATE TABLE services (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	organization_id VARCHAR(36) NOT NULL,
	name VARCHAR(128) NOT NULL,
	type VARCHAR(16) NOT NULL,
	status VARCHAR(16) NOT NULL,
	client_id VARCHAR(64) NOT NULL,
	secret_hash VARCHAR(64) NOT NULL,
	old_secret_hash VARCHAR(64) NOT NULL,
	old_secret_until BIGINT NOT NULL,
	redirect_uris TEXT NOT NULL,
	logout_uris TEXT NOT NULL,
	device BIGINT NOT NULL,
	first_party BIGINT NOT NULL,
	access VARCHAR(16) NOT NULL,
	token_format VARCHAR(16) NOT NULL,
	access_life BIGINT NOT NULL,
	refresh_life BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX services_client_id ON services (client_id);
CREATE INDEX services_organization_id ON services (organization_id, name, id);
CREATE TABLE service_access (
	service_id VARCHAR(36) NOT NULL,
	user_id VARCHAR(36) NOT NULL,
	organization_id VARCHAR(36) NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (service_id, user_id)
);
CREATE INDEX service_access_user_id ON service_access (user_id);
CREATE INDEX service_access_organization_id ON service_access (organization_id, user_id);
CREATE TABLE api_keys (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	organization_id VARCHAR(36) NOT NULL,
	service_id VARCHAR(36) NOT NULL,
	name VARCHAR(64) NOT NULL,
	hash VARCHAR(64) NOT NULL,
	scopes VARCHAR(512) NOT NULL,
	created_by VARCHAR(36) NOT NULL,
	created_at BIGINT NOT NULL,
	last_used_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX api_keys_hash ON api_keys (hash);
CREATE INDEX api_keys_service_id ON api_keys (service_id, id);
CREATE INDEX api_keys_organization_id ON api_keys (organization_id);
CREATE TABLE end_users (
	service_id VARCHAR(36) NOT NULL,
	user_id VARCHAR(36) NOT NULL,
	organization_id VARCHAR(36) NOT NULL,
	first_at BIGINT NOT NULL,
	last_at BIGINT NOT NULL,
	PRIMARY KEY (service_id, user_id)
);
CREATE INDEX end_users_organization_id ON end_users (organization_id, user_id);
CREATE INDEX end_users_user_id ON end_users (user_id);
CREATE TABLE service_sessions (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	organization_id VARCHAR(36) NOT NULL,
	service_id VARCHAR(36) NOT NULL,
	user_id VARCHAR(36) NOT NULL,
	root_id VARCHAR(36) NOT NULL,
	address VARCHAR(64) NOT NULL,
	agent VARCHAR(256) NOT NULL,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);
CREATE INDEX service_sessions_organization_id ON service_sessions (organization_id, user_id, id);
CREATE INDEX service_sessions_user_id ON service_sessions (user_id);
CREATE INDEX service_sessions_service_id ON service_sessions (service_id);
CREATE INDEX service_sessions_expires_at ON service_sessions (expires_at);
CREATE TABLE barred (
	organization_id VARCHAR(36) NOT NULL,
	user_id VARCHAR(36) NOT NULL,
	reason VARCHAR(512) NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX barred_user_id ON barred (user_id);
CREATE TABLE organization_providers (
	organization_id VARCHAR(36) NOT NULL,
	name VARCHAR(64) NOT NULL,
	client_id VARCHAR(512) NOT NULL,
	sealed TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (organization_id, name)
);
