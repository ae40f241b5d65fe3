-- Whom an upstream OpenID provider knows under which subject. Decides who
-- somebody is, so it carries a MAC.
create table upstream_identities (
    issuer text not null,
    subject text not null,
    person_id text not null references people (id),
    created_at bigint not null,
    mac bytea not null,
    mac_key text not null,
    primary key (issuer, subject)
);
create index upstream_identities_person on upstream_identities (person_id);
