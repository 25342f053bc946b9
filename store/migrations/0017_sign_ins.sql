CREATE TABLE sign_ins (
	hour BIGINT NOT NULL,
	outcome VARCHAR(16) NOT NULL,
	sign_ins BIGINT NOT NULL,
	PRIMARY KEY (hour, outcome)
);
