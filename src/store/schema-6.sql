-- Version 6. What keeps an alarm quiet, what it turned out to be, and hazards.
-- A new column's comment stands at the end of its line.

alter table alarm add column shelf_by text;         -- who set it aside for a while; null where it is not
alter table alarm add column shelf_at integer;      -- when
alter table alarm add column shelf_until integer;   -- when that is over at the latest
alter table alarm add column shelf_once integer check (shelf_once in (0, 1)); -- it is over as soon as the condition ends
alter table alarm add column shelf_note text;       -- why
alter table alarm add column suppressed_by text;    -- what of the school's arrangements keeps it quiet; null where none does
alter table alarm add column suppressed_at integer; -- since when
alter table alarm add column out_by text;           -- who took its device out of service; null where it is in service
alter table alarm add column out_at integer;        -- when
alter table alarm add column out_until integer;     -- when it is back by itself, if ever
alter table alarm add column out_note text;         -- why
alter table alarm add column inhibited_by integer;  -- alarm.id of the one that explains it
alter table alarm add column chatter_since integer; -- since when it comes and goes; null where it does not
alter table alarm add column chatter_count integer; -- how often it has
alter table alarm add column first_of_group integer not null default 0 check (first_of_group in (0, 1)); -- no other of its place or bus came shortly before
alter table alarm add column truth text;            -- what it turned out to be
alter table alarm add column truth_by text;         -- who says so
alter table alarm add column truth_at integer;      -- when
alter table alarm add column truth_note text;       -- what they wrote
create index alarm_closed on alarm (closed_at);
create index alarm_raised on alarm (raised_at);
alter table alarm add column drill integer not null default 0 check (drill in (0, 1)); -- a person raised it to practise
create index alarm_explained on alarm (inhibited_by) where inhibited_by is not null;

create table hazard (
  id           integer primary key, -- never used twice
  alarm        integer,             -- alarm.id of the one that showed it
  place        text,                -- where
  what         text not null,       -- what it is
  found_by     text not null,       -- who found it
  found_at     integer not null,    -- when
  found_note   text not null,       -- what they wrote
  checked_by   text,                -- who looked at it
  checked_at   integer,             -- when
  checked_note text,                -- what they saw
  handled_by   text,                -- who did something about it
  handled_at   integer,             -- when
  handled_note text,                -- what they did
  closed_by    text,                -- who saw that it is gone
  closed_at    integer,             -- when
  closed_note  text                 -- what they saw
) strict;
create index hazard_open on hazard (id) where closed_at is null;

-- The sum of alarms is made anew at the next start: their rows have more columns.
delete from chain where name = 'alarm';
