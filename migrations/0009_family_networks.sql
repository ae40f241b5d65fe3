-- From which networks a refresh token that does not rotate was used, hashed.
create table family_networks (
    family_id text not null references token_families (id),
    network_hash bytea not null,
    seen_at bigint not null,
    primary key (family_id, network_hash)
);
