CREATE TABLE signing_keys (
	generation BIGINT NOT NULL PRIMARY KEY,
	id VARCHAR(64) NOT NULL,
	sealed TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	signs_at BIGINT NOT NULL
);
