-- Agents that a person has muted: their requests ring nothing until then.
create table notice_mutes (
    person_id text not null references people (id),
    client_id text not null references clients (id),
    until bigint not null,
    primary key (person_id, client_id)
);
