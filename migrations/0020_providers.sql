-- Providers that this deployment added to the catalogue. An entry says where
-- tokens travel to and who somebody is, so it carries a MAC.
create table providers (
    id text primary key,
    entry text not null,
    source text not null check (source in ('config', 'admin')),
    created_at bigint not null,
    updated_at bigint not null,
    mac bytea not null,
    mac_key text not null
);
