CREATE TABLE mails (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	kind VARCHAR(32) NOT NULL,
	user_id VARCHAR(36) NOT NULL,
	sealed TEXT NOT NULL,
	tries BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	due_at BIGINT NOT NULL
);
CREATE INDEX mails_due_at ON mails (due_at);
ALTER TABLE codes ADD COLUMN user_id VARCHAR(36) NOT NULL DEFAULT '';
CREATE INDEX codes_user_id ON codes (user_id);
