-- Since when a connection's provider does not answer, and since when it has
-- refused more grants at once than can be true; null is well.

alter table connections add column unwell_since bigint;
alter table connections add column suspect_since bigint;
-- Since when a refused grant is being asked about again instead of given up.
alter table provider_grants add column suspect_since bigint;
