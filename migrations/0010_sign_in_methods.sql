-- How the person had signed in, beside when: what `acr` of an ID token says.

alter table authorization_codes add column acr text;
alter table device_requests add column acr text;
alter table token_families add column acr text;
