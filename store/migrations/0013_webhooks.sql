ALTER TABLE events ADD COLUMN organization_id VARCHAR(36) NOT NULL DEFAULT '';
CREATE INDEX events_organization ON events (organization_id, id);
CREATE INDEX events_batch_id ON events (batch, id);
DROP INDEX events_batch ON events;

CREATE TABLE webhooks (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	organization_id VARCHAR(36) NOT NULL,
	name VARCHAR(128) NOT NULL,
	url VARCHAR(2048) NOT NULL,
	events VARCHAR(1024) NOT NULL,
	status VARCHAR(16) NOT NULL,
	reason VARCHAR(512) NOT NULL,
	sealed TEXT NOT NULL,
	failing_since BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX webhooks_organization ON webhooks (organization_id, id);
CREATE TABLE deliveries (
	id VARCHAR(36) NOT NULL PRIMARY KEY,
	webhook_id VARCHAR(36) NOT NULL,
	event_id VARCHAR(36) NOT NULL,
	type VARCHAR(64) NOT NULL,
	status VARCHAR(16) NOT NULL,
	tries BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	due_at BIGINT NOT NULL,
	tried_at BIGINT NOT NULL,
	took BIGINT NOT NULL,
	answer_status BIGINT NOT NULL,
	answer TEXT NOT NULL,
	failure VARCHAR(512) NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (status, webhook_id, due_at);
CREATE INDEX deliveries_webhook ON deliveries (webhook_id, id);
