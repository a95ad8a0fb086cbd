create type failure_state as enum ('retrying', 'dead', 'discarded');

-- Events that could not be settled so far: the only mutable rows about events, and few.
create table event_failures (
  event_id uuid primary key,
  state failure_state not null,
  cause text not null,
  attempts integer not null check (attempts > 0),
  next_attempt_at timestamptz,
  last_error text not null,
  -- The member whose enrolment would repair the cause `unknown_member`.
  awaited_member_id uuid,
  first_failed_at timestamptz not null default now(),
  last_failed_at timestamptz not null default now(),
  check ((state = 'retrying') = (next_attempt_at is not null))
);
create index event_failures_due on event_failures (next_attempt_at) where state = 'retrying';
create index event_failures_awaiting on event_failures (awaited_member_id)
  where awaited_member_id is not null;
create index event_failures_cause on event_failures (cause);

-- What an event is. Derived: nothing marks an event as unsettled, it merely has no outcome.
create view event_state as
select e.id as event_id,
       case when o.event_id is not null then 'settled'
            when f.event_id is not null then f.state::text
            else 'unsettled' end as state,
       o.settled_at,
       f.cause,
       f.attempts,
       f.next_attempt_at,
       f.last_error
  from events e
  left join commission_outcomes o on o.event_id = e.id
  left join event_failures f on f.event_id = e.id;
