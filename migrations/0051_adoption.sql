-- Where the database was when it was adopted: elsewhere it is a copy, which
-- renews and revokes nothing until somebody says that it takes the original's place.
alter table deployment add column place text;
alter table deployment add column place_mac bytea;
alter table deployment add column place_mac_key text;
