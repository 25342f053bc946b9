ALTER TABLE organizations ADD COLUMN factor_required BIGINT NOT NULL DEFAULT 0;
