-- What each event was computed to: at most one row an event, and that row is the claim (law L1).
-- `settled_in` is the settling transaction: the feed is ordered by it and shows only what every
-- earlier transaction can no longer precede, so a reader that pages by it misses nothing.
create table commission_outcomes (
  event_id uuid primary key,
  settled_in xid8 not null default pg_current_xact_id(),
  settled_at timestamptz not null default now(),
  plan_id integer not null,
  semantics smallint not null,
  lines smallint not null,
  breakage numeric(20, 4) not null check (breakage >= 0 and breakage < 'NaN'),
  inputs bytea not null
);
select guard_append_only('commission_outcomes');
-- By transaction alone: one key for a whole batch. With the event id in it, a plan made while the
-- table is empty may search it for an event, from end to end.
create index commission_outcomes_feed on commission_outcomes (settled_in);

-- Packed inputs for auditors: the seller is position 0, then the upline. The format is documented
-- in crates/domain/src/inputs.rs.
create function unpack_inputs(inputs bytea)
returns table ("position" integer, member_id uuid, rank smallint, status member_status)
language sql immutable strict as $$
  select place,
         encode(substr(inputs, 2 + 18 * place, 16), 'hex')::uuid,
         get_byte(inputs, 17 + 18 * place)::smallint,
         (enum_range(null::member_status))[1 + get_byte(inputs, 18 + 18 * place)]
    from generate_series(0, (length(inputs) - 1) / 18 - 1) as place
   where get_byte(inputs, 0) = 1
$$;

create type ledger_entry_type as enum (
  'LEVEL_COMMISSION', 'DIFFERENTIAL', 'BONUS', 'REFERRAL_REWARD',
  'CLAWBACK', 'ADJUSTMENT', 'PAYOUT', 'FEE'
);

-- Who is paid what for which event. Lean, because every sale writes about ten: one event-keyed and
-- one member-keyed index, both deduplicating, no column that can be derived.
create table commission_ledger (
  event_id uuid not null,
  member_id uuid not null,
  posted_at timestamptz not null default now(),
  earned_period date not null,
  posted_period date not null,
  rule_id integer,
  entry_type ledger_entry_type not null,
  line smallint not null,
  level smallint,
  depth smallint,
  currency text not null,
  amount numeric(20, 4) not null check (amount < 'NaN'),
  career_points numeric(20, 4) not null check (career_points < 'NaN'),
  constraint commission_ledger_payout check (entry_type <> 'PAYOUT' or amount < 0)
) partition by range (posted_period);
select guard_append_only('commission_ledger');
create index commission_ledger_event on commission_ledger (event_id);
create index commission_ledger_member on commission_ledger (member_id);

create view member_balance as
select member_id, currency, sum(amount) as balance, sum(career_points) as career_points
  from commission_ledger
 group by member_id, currency;

-- Makes the ledger's partition for a month, if it is missing; true when it did. Create, then
-- attach: attaching does not block those who read or write the ledger. The bounds keep a typing
-- error in a date from making thousands of partitions.
create function ensure_ledger_partition(period date) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  partition_name text := 'commission_ledger_' || to_char(period, 'YYYY_MM');
  following date := (period + interval '1 month')::date;
begin
  if extract(day from period) <> 1
     or period < (select date_trunc('month', starts_on::timestamp) from public.programme)
     or period > now() + interval '1 year' then
    raise exception 'no ledger partition for %: it must be the first day of a month between the programme''s start and a year ahead', period
      using errcode = 'invalid_parameter_value';
  end if;
  if to_regclass('public.' || partition_name) is not null then
    return false;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('lineage:ledger-partitions', 0));
  -- Somebody may have made it while this session waited. A query sees that; to_regclass might
  -- still answer from its cache.
  if exists (select from pg_class
              where relname = partition_name and relnamespace = 'public'::regnamespace) then
    return false;
  end if;
  execute format(
    'create table public.%I (like public.commission_ledger including defaults including constraints)',
    partition_name);
  perform public.guard_append_only(format('public.%I', partition_name)::regclass);
  execute format(
    'alter table public.commission_ledger attach partition public.%I for values from (%L) to (%L)',
    partition_name, period, following);
  return true;
end
$$;
revoke execute on function ensure_ledger_partition(date) from public;
