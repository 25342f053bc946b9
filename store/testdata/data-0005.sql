INSERT INTO signing_keys (generation, id, sealed, created_at, signs_at) VALUES (1, 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs', 'sealed', 1767323045678901, 1767323045678901);
