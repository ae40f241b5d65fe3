-- For which other services a person let a client use its sign-in: a JSON array.
alter table consents add column audiences text not null default '[]';
