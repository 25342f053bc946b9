CREATE TABLE organizations (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	slug VARCHAR(40) NOT NULL,
	name VARCHAR(128) NOT NULL,
	status VARCHAR(16) NOT NULL,
	reason VARCHAR(512) NOT NULL,
	tier VARCHAR(32) NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX organizations_slug ON organizations (slug);
CREATE INDEX organizations_status ON organizations (status, slug);
CREATE TABLE members (
	organization_id VARCHAR(36) NOT NULL,
	user_id VARCHAR(36) NOT NULL,
	role VARCHAR(64) NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX members_user_id ON members (user_id);
ALTER TABLE users ADD COLUMN organizations BIGINT NOT NULL DEFAULT 0;
