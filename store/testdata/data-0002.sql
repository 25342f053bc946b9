INSERT INTO leases VALUES ('cleanup', 'node', 0);
