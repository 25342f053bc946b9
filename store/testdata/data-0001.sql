INSERT INTO users VALUES ('0190a000-0000-7000-8000-000000000001', 'Alice', 'alice', 'Alice@example.com', 'alice@example.com', 1, 'Alice É. 😀', 'active', 1, 1767323045678901, 1767323045678901);
INSERT INTO users VALUES ('0190a000-0000-7000-8000-000000000002', 'bob', 'bob', '', NULL, 0, '', 'disabled', 0, 1767323045678901, 1767323045678901);
INSERT INTO user_groups (user_id, name) VALUES ('0190a000-0000-7000-8000-000000000001', 'staff');
INSERT INTO passwords VALUES ('0190a000-0000-7000-8000-000000000001', '$argon2id$v=19$m=64,t=1,p=1$YWJjZGVmZ2g$YWJjZGVmZ2g', 1767323045678901);
INSERT INTO sessions (id, root_id, user_id, token_hash, host, amr, auth_time, created_at, last_seen_at, expires_at, address, agent) VALUES ('0190a000-0000-7000-8000-000000000003', '0190a000-0000-7000-8000-000000000003', '0190a000-0000-7000-8000-000000000001', '0000000000000000000000000000000000000000000000000000000000000000', 'auth.example.com', 'pwd', 1767323045678901, 1767323045678901, 1767323045678901, 4102444800000000, '192.0.2.1', 'Agent');
INSERT INTO codes (hash, purpose, session_id, host, browser, data, created_at, expires_at) VALUES ('1111111111111111111111111111111111111111111111111111111111111111', 'invite', '', '', '', '', 1767323045678901, 4102444800000000);
INSERT INTO changes VALUES ('0190a000-0000-7000-8000-000000000004', 4102444800000000, 'user', '0190a000-0000-7000-8000-000000000001');
INSERT INTO events (id, occurred_at, actor_kind, actor_id, session_id, action, target, outcome, details, address, agent, request_id) VALUES ('0190a000-0000-7000-8000-000000000004', 1767323045678901, 'system', '', '', 'user.create', 'user:0190a000-0000-7000-8000-000000000001', 'success', '', '', '', '');
INSERT INTO settings VALUES ('setup_closed', '1');
