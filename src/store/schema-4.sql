-- Version 4. What counters stood at.

-- The growth of a meter that was silent for long, with a restart meanwhile, is counted from here: a start looks at the
-- last roll-ups only.
create table counter (
  series integer primary key,       -- series.id
  start  integer not null,          -- first moment of the last roll-up it has
  last   real not null              -- its value at the end of that
) strict;

insert into counter (series, start, last)
select d.series, max(d.start), d.last from roll_up_day d join series s on s.id = d.series
where s.kind = 'counter' group by d.series;
insert or replace into counter (series, start, last)
select r.series, max(r.start), r.last from roll_up r join series s on s.id = r.series
where s.kind = 'counter' group by r.series;
