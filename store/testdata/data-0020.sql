INSERT INTO retired_slugs (slug, retired_at) VALUES ('gone', 1767323045678901);
UPDATE access_tokens SET second_factor = 1;
