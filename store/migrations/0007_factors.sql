CREATE TABLE totps (
	user_id VARCHAR(36) NOT NULL PRIMARY KEY,
	sealed TEXT NOT NULL,
	last_step BIGINT NOT NULL,
	created_at BIGINT NOT NULL
);
CREATE TABLE recovery_codes (
	user_id VARCHAR(36) NOT NULL,
	hash VARCHAR(64) NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (user_id, hash)
);
