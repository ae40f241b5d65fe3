-- Who else may decide an approval: only to find it by. Who may decide is in the
-- approval's own row, under its MAC.

create table approval_seats (
    approval_id text not null references approvals (id),
    person_id text not null references people (id),
    primary key (person_id, approval_id)
);
