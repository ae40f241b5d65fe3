-- A code that a person tells programs which ask for approvals (CIBA Core §7.1).
create table user_codes (
    person_id text primary key references people (id),
    hash text not null,
    updated_at bigint not null,
    mac bytea not null,
    mac_key text not null
);
