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

-- Who discarded an event, when and why is written by the statement that discards it and by no other;
-- retrying keeps it. Only settlement may forget it. Rights cannot tell these apart: the worker counts
-- attempts in the same columns and deletes rows of events that it has settled.
create function keep_discards() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    if old.discarded_at is not null
       and not exists (select from commission_outcomes o where o.event_id = old.event_id) then
      raise exception 'event % was discarded and is not settled: its row stays', old.event_id
        using errcode = 'restrict_violation';
    end if;
    return old;
  end if;
  if (new.state = 'discarded') <> (old.state = 'discarded')
     and not pg_has_role(current_user, 'lineage_ingest', 'usage')
     and not pg_has_role(current_user, 'lineage_ops', 'usage') then
    raise exception 'event %: operators discard and bring back, not %', old.event_id, current_user
      using errcode = 'check_violation',
            hint = 'Use lineage dead-letters discard or retry.';
  end if;
  if new.state = 'discarded' and old.state <> 'discarded' then
    -- A command line acts for its own login, and only ingest speaks for keys.
    if (new.discarded_by like 'role:%' and new.discarded_by <> 'role:' || session_user)
       or (new.discarded_by like 'key:%'
           and not pg_has_role(current_user, 'lineage_ingest', 'usage')) then
      raise exception '% cannot discard as %', session_user, new.discarded_by
        using errcode = 'check_violation';
    end if;
    new.discarded_at := now();
  elsif (new.discarded_at, new.discarded_by, new.discarded_on_behalf_of, new.discard_reason)
        is distinct from
        (old.discarded_at, old.discarded_by, old.discarded_on_behalf_of, old.discard_reason) then
    raise exception 'event %: who discarded it, when and why is not rewritten', old.event_id
      using errcode = 'restrict_violation',
            hint = 'Retry the event and discard it anew; operator_actions keeps both.';
  end if;
  return new;
end
$$;
create trigger keep_discards before update or delete on event_failures
  for each row execute function keep_discards();
alter table event_failures enable always trigger keep_discards;
