CREATE INDEX users_status_id ON users (status, id);
CREATE INDEX users_owner_id ON users (owner, id);
CREATE INDEX organizations_status_id ON organizations (status, id);
CREATE INDEX members_created_at ON members (organization_id, created_at, user_id);
CREATE INDEX services_organization_new ON services (organization_id, id);
