-- The company's calendar: one row. Stored periods were computed by it, so the operator's command
-- refuses to change it once there are events.
create table programme (
  only_row boolean primary key default true check (only_row),
  time_zone text not null,
  period text not null check (period = 'month'),
  starts_on date not null,
  set_at timestamptz not null default now()
);
insert into programme (time_zone, period, starts_on) values ('UTC', 'month', '2000-01-01');

-- The ladder, lowest first. Packed inputs and rule sets refer to places, so a place keeps its
-- name; ranks are added on top.
create table ranks (
  place smallint primary key check (place between 0 and 255),
  name text not null unique
);
insert into ranks (place, name) values (0, 'MEMBER');
