-- Dead letters: who discarded an event and why stays with it, also when it is retried later; the
-- record of actions says the rest.
alter table event_failures
  add column discarded_at timestamptz,
  add column discarded_by text,
  add column discarded_on_behalf_of text,
  add column discard_reason text;
update event_failures
   set discarded_at = last_failed_at, discarded_by = 'unknown',
       discard_reason = 'discarded before reasons were recorded'
 where state = 'discarded';
alter table event_failures
  add constraint event_failures_discard_explained
  check (state <> 'discarded'
         or (discarded_at is not null and discarded_by is not null and discard_reason is not null));

-- Lists go by when the first attempt failed: that never changes, so pages miss nothing.
create index event_failures_first on event_failures (first_failed_at, event_id);
-- The sweep looks at those that failed lately, because an attempt may fail while the enrolment that
-- repairs it commits.
create index event_failures_awaiting_lately on event_failures (last_failed_at)
  where awaited_member_id is not null;

-- New columns come last: others read the view by name and by place.
create or replace view event_state as
select e.id as event_id,
       case when o.event_id is not null then 'settled'
            when f.event_id is not null then f.state::text
            else 'unsettled' end as state,
       o.settled_at,
       f.cause,
       f.attempts,
       f.next_attempt_at,
       f.last_error,
       f.discard_reason
  from events e
  left join commission_outcomes o on o.event_id = e.id
  left join event_failures f on f.event_id = e.id;

grant update (discarded_at, discarded_by, discarded_on_behalf_of, discard_reason)
  on event_failures to lineage_ingest, lineage_ops;

-- The worker counts attempts, and nothing else: it cannot discard.
revoke insert, update on event_failures from lineage_worker;
grant insert (event_id, state, cause, attempts, next_attempt_at, last_error, awaited_member_id),
  update (state, cause, attempts, next_attempt_at, last_error, awaited_member_id, last_failed_at)
  on event_failures to lineage_worker;
