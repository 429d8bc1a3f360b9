-- Version 7. What platforms took, so that it can be said how complete uploads are.

create table uploaded (
  destination text not null,        -- who took it
  hour        integer not null,     -- first moment of the hour in which it was owed
  records     integer not null check (records > 0),               -- how many records
  primary key (destination, hour)
) strict, without rowid;
