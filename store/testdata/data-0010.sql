INSERT INTO devices VALUES ('0190a000-0000-7000-8000-000000000010', '0190a000-0000-7000-8000-000000000001', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'Agent/1.0', '192.0.2.1', 1767323045678901, 1767323045678901, 4102444800000000);
UPDATE users SET factor_required = 1 WHERE id = '0190a000-0000-7000-8000-000000000001';
INSERT INTO erased VALUES ('0190a000-0000-7000-8000-000000000099', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 1767323045678901);
