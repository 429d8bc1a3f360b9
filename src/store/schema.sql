-- Version 1. Times are milliseconds since 1970-01-01T00:00:00Z. Words are those of src/model.

create table meta (
  key   text primary key not null,  -- what
  value text not null               -- its value
) strict, without rowid;

create table series (
  id     integer primary key,       -- short number used by `reading` and `roll_up`
  device text not null,             -- device id
  point  text not null,             -- point id
  unit   text not null,             -- unit symbol of its values
  kind   text not null,             -- gauge, counter or state
  unique (device, point, unit, kind)
) strict;

create table reading (
  seq       integer primary key,    -- order of arrival
  series    integer not null,       -- series.id
  arrived   integer not null,       -- the gateway's time
  device_at integer,                -- the device's own time, if it gave one
  clock     integer not null check (clock between 0 and 3),       -- what may be believed of the times
  value     real,                   -- absent when bad
  quality   integer not null check (quality between 0 and 2),     -- 0 good, 1 uncertain, 2 bad
  doubt     text                    -- why not good
) strict;

create table event (
  seq       integer primary key,    -- order of arrival
  device    text not null,          -- device id
  arrived   integer not null,       -- the gateway's time
  device_at integer,                -- the device's own time, if it gave one
  clock     integer not null check (clock between 0 and 3),       -- what may be believed of the times
  retained  integer not null check (retained in (0, 1)),          -- told on connecting, not happened now
  kind      text not null,          -- event kind
  phase     text not null,          -- moment, start or end
  code      text,                   -- the device's own code
  serial    text,                   -- the device's own number of this event
  carrier   text,                   -- credential: what carried it
  service   text,                   -- credential: what for
  direction text,                   -- credential: which way
  result    text,                   -- credential: with what result
  person    text                    -- credential: pseudonym
) strict;
-- A device that begins to count anew has other times for the same numbers.
create unique index event_serial on event (device, serial, coalesce(device_at, 0)) where serial is not null;

create table link (
  device text primary key not null, -- device id
  up     integer not null check (up in (0, 1)),                   -- whether it answers
  fault  text,                      -- why not
  since  integer not null           -- the gateway's time of the change
) strict, without rowid;

create table alarm (
  id          integer primary key,  -- never used twice
  rule        text not null,        -- rule id
  subject     text not null,        -- what the rule holds for
  class       text not null,        -- what it is about
  priority    text not null,        -- how soon to act
  device      text,                 -- device concerned
  place       text,                 -- where
  what_zh     text not null,        -- in Chinese
  what_en     text not null,        -- in English
  raised_at   integer not null,     -- first raised
  active      integer not null check (active in (0, 1)),          -- the condition holds
  occurrences integer not null,     -- how often it came back
  cleared_at  integer,              -- the condition last ended
  ack_by      text,                 -- who took it
  ack_at      integer,              -- when
  ack_note    text,                 -- what they wrote
  latched     integer not null check (latched in (0, 1)),         -- only a manual reset closes it
  reset_by    text,                 -- who reset it
  reset_at    integer,              -- when
  reset_note  text,                 -- what they wrote
  closed_at   integer               -- it was over
) strict;
create unique index alarm_open on alarm (rule, subject) where closed_at is null;

create table alarm_change (
  seq   integer primary key,        -- order
  alarm integer not null references alarm (id),                   -- which
  kind  text not null,              -- what happened to it
  at    integer not null,           -- when
  actor text not null,              -- who did it
  note  text not null               -- what they wrote
) strict;
create index alarm_change_alarm on alarm_change (alarm, seq);

create table roll_up (
  series      integer not null,     -- series.id
  start       integer not null,     -- first moment of the period
  period_secs integer not null,     -- its length
  count       integer not null,     -- good values in it
  sum         real not null,        -- their sum
  min         real not null,        -- the smallest
  max         real not null,        -- the largest
  last        real not null,        -- the last by time
  delta       real,                 -- growth of a counter
  revision    integer not null,     -- 0, and one more each time late data changed it
  primary key (start, series, period_secs)
) strict, without rowid;

create table outbox (
  seq         integer primary key,  -- never used twice, see meta.next_seq
  destination text not null,        -- to whom
  lane        integer not null check (lane in (0, 1)),            -- 0 alarms, 1 aggregates
  uid         text not null,        -- by which the platform knows a repeat
  created     integer not null,     -- when it was owed
  record      text not null         -- the record, JSON
) strict;
create index outbox_next on outbox (destination, lane, seq);

create table set_aside (
  seq         integer primary key,  -- its number in the outbox
  destination text not null,        -- who rejected it
  uid         text not null,        -- by which the platform knows it
  created     integer not null,     -- when it was owed
  record      text not null,        -- the record, JSON
  reason      text not null,        -- why it was rejected
  at          integer not null      -- when
) strict;

create table quarantine (
  seq     integer primary key,      -- order of arrival
  at      integer not null,         -- the gateway's time
  bus     text not null,            -- by which bus
  device  text,                     -- of whom, if known
  origin  text not null,            -- topic, registers or URL
  kind    text not null,            -- one word
  reason  text not null,            -- what was wrong and what was expected
  raw     blob not null,            -- first bytes; empty where they could name a person
  raw_len integer not null          -- whole length in bytes
) strict;

create table stranger (
  bus      text not null,           -- by which bus
  origin   text not null,           -- topic or address
  first_at integer not null,        -- first heard
  last_at  integer not null,        -- last heard
  messages integer not null,        -- how many
  primary key (bus, origin)
) strict, without rowid;

create table fingerprint (
  bus   text not null,              -- by which bus
  slot  integer not null,           -- turn modulo the number kept
  turn  integer not null,           -- grows by one per message
  value integer not null,           -- hash of packet id, topic and payload
  at    integer not null,           -- when it came
  primary key (bus, slot)
) strict, without rowid;
