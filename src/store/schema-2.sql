-- Version 2. Hash chains over what may not be changed unseen, the audit trail, sealed readings, and what was dropped.
-- A new column's comment stands at the end of its line.

alter table event add column hash blob;         -- SHA-256 of the row before's hash and this row; null before version 2
alter table alarm_change add column hash blob;  -- SHA-256 of the row before's hash and this row; null before version 2
alter table set_aside add column hash blob;     -- SHA-256 of the row before's hash and this row; null before version 2
alter table outbox add column hash blob;        -- SHA-256 of this row alone: rows are deleted when delivered

create table audit (
  seq     integer primary key,      -- order
  at      integer not null,         -- the gateway's time
  actor   text not null,            -- who did it
  action  text not null,            -- what was done, one word
  subject text not null,            -- to what
  detail  text not null,            -- with which words or values; empty if there are none
  hash    blob not null check (length(hash) = 32)                 -- SHA-256 of the row before's hash and this row
) strict;

create table chain (
  name text primary key not null,   -- of which table: event, alarm_change, set_aside, audit; or its anchor
  seq  integer not null,            -- number of the last row that the hash covers
  head blob not null check (length(head) = 32)                    -- that row's hash
) strict, without rowid;

create table sealed (
  file      text primary key not null,  -- name under history/
  first_seq integer not null,           -- number of its first reading
  last_seq  integer not null check (last_seq >= first_seq),       -- number of its last reading
  readings  integer not null check (readings > 0),                -- how many it holds
  bytes     integer not null check (bytes > 0),                   -- its length
  first_at  integer not null,           -- earliest time a reading in it is reckoned with
  last_at   integer not null check (last_at >= first_at),         -- latest such time
  digest    blob not null check (length(digest) = 32)             -- SHA-256 that its footer must bear
) strict, without rowid;
create unique index sealed_seq on sealed (first_seq);

create table dropped (
  reason   text primary key not null,  -- why: one word
  rows     integer not null,           -- how many rows, in all
  first_at integer not null,           -- the gateway's time when the first were
  last_at  integer not null            -- and the last
) strict, without rowid;

-- The upload level stays in `roll_up`, clustered by time: a period closes for every series at once, so its rows fill
-- neighbouring pages and each page is written once. Hours are the same. Days are clustered by series, because they
-- are asked for by the year: a series' year is some eight pages, and the price is one page per series and day
-- (a thousand series: 4 MB a day through the log and the file). No level has a second index.
create table roll_up_hour (
  series   integer not null,        -- series.id
  start    integer not null,        -- first moment of the hour
  ends     integer not null check (ends > start),                 -- first moment after it
  count    integer not null,        -- good values in it
  sum      real not null,           -- their sum
  min      real not null,           -- the smallest
  max      real not null,           -- the largest
  last     real not null,           -- the last by time
  delta    real,                    -- growth of a counter
  revision integer not null,        -- 0, and one more each time a part that changed changed it
  primary key (start, series)
) strict, without rowid;

create table roll_up_day (
  series   integer not null,        -- series.id
  start    integer not null,        -- the school's midnight
  ends     integer not null check (ends > start),                 -- the next one; 23 or 25 hours later at times
  count    integer not null,        -- good values in it
  sum      real not null,           -- their sum
  min      real not null,           -- the smallest
  max      real not null,           -- the largest
  last     real not null,           -- the last by time
  delta    real,                    -- growth of a counter
  revision integer not null,        -- 0, and one more each time a part that changed changed it
  primary key (series, start)
) strict, without rowid;

create table level_due (
  level    text not null check (level in ('hour', 'day')),        -- which table is behind `roll_up`
  start    integer not null,        -- first moment of the period that is to be made anew from its parts
  ends     integer not null check (ends > start),                 -- first moment after it
  primary key (level, start)
) strict, without rowid;
