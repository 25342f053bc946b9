CREATE TABLE identities (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	user_id VARCHAR(36) NOT NULL,
	provider VARCHAR(64) NOT NULL,
	issuer VARCHAR(255) NOT NULL,
	subject VARCHAR(255) NOT NULL,
	subject_key VARCHAR(64) NOT NULL,
	username VARCHAR(255) NOT NULL,
	email VARCHAR(254) NOT NULL,
	tokens TEXT NOT NULL,
	tokens_version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	used_at BIGINT NOT NULL,
	checked_at BIGINT NOT NULL,
	lease_holder VARCHAR(36) NOT NULL,
	leased_until BIGINT NOT NULL
);
CREATE UNIQUE INDEX identities_subject_key ON identities (subject_key);
CREATE INDEX identities_user_id ON identities (user_id);
CREATE INDEX identities_checked_at ON identities (provider, checked_at);
ALTER TABLE sessions ADD COLUMN identity_id VARCHAR(36) NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN provider VARCHAR(64) NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN provider_session VARCHAR(255) NOT NULL DEFAULT '';
CREATE INDEX sessions_identity_id ON sessions (identity_id);
CREATE INDEX sessions_provider_session ON sessions (provider_session);
ALTER TABLE user_groups ADD COLUMN given_by VARCHAR(36) NOT NULL DEFAULT '';
CREATE INDEX user_groups_given_by ON user_groups (given_by);
