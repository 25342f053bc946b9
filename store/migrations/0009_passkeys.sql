CREATE TABLE passkeys (
	id VARCHAR(64) NOT NULL PRIMARY KEY,
	user_id VARCHAR(36) NOT NULL,
	domain VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	credential TEXT NOT NULL,
	public_key TEXT NOT NULL,
	sign_count BIGINT NOT NULL,
	backup_eligible BIGINT NOT NULL,
	backed_up BIGINT NOT NULL,
	transports VARCHAR(255) NOT NULL,
	created_at BIGINT NOT NULL,
	used_at BIGINT NOT NULL
);
CREATE INDEX passkeys_user_id ON passkeys (user_id);
