-- Decisions that only a passkey may make. Whether an approval is one is fixed in
-- its row, and that a person ever had a passkey in theirs: both under the row's MAC,
-- so that taking passkeys out of the database does not lower what is asked.

alter table people add column passkeys_since bigint;
alter table approvals add column needs_passkey boolean not null default false;
