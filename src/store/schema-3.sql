-- Version 3. Hours and school days, made of the roll-ups that are uploaded.

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

-- What is stored already: its hours, and its days as China has them.
insert into level_due (level, start, ends)
select distinct 'hour', start - start % 3600000, start - start % 3600000 + 3600000 from roll_up where start > 0;
insert into level_due (level, start, ends)
select distinct 'day', start - (start + 28800000) % 86400000, start - (start + 28800000) % 86400000 + 86400000
from roll_up where start > 0;
