-- Version 5. Persons behind pseudonyms, why a reader refused, and what may be gone while the chains still hold.
-- A new column's comment stands at the end of its line.

alter table event add column reason text;       -- credential: why it was refused; null where nothing is said
alter table event add column erased blob check (erased is null or length(erased) = 32); -- the person was erased: SHA-256 of the row before's hash and what is left of this row
-- Tracks, and the erasure of a person.
create index event_person on event (person) where person is not null;

create table person (
  pseudonym   text primary key not null, -- 32 hexadecimal digits
  role        text not null,        -- what they are to the school
  grp         text,                 -- class or department
  platform_id text,                 -- their id at the platform, if it gave one
  valid_from  integer,              -- their credential is good from then on; no limit if absent
  valid_until integer,              -- until then; no limit if absent
  imported_at integer not null      -- when the school told
) strict, without rowid;
