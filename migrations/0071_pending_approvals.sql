-- What is asked of all approvals together is asked of the pending ones only, and
-- nothing is asked of a client's without its person: every request is written
-- into one index less, and every decision into two.
drop index approvals_client;
drop index approvals_expiry;
create index approvals_expiry on approvals (expires_at) where state = 'pending';
