create type event_type as enum ('SALE');
create type source_type as enum ('PRODUCT', 'INVESTMENT');

-- The truth: what the shops told us. The id is UUIDv5 of (source, external_id), so the same
-- business event is always the same row. NaN fits numeric(20,4) and is above every number, hence
-- the upper bounds.
create table events (
  id uuid primary key,
  member_id uuid not null,
  occurred_at timestamptz not null,
  recorded_at timestamptz not null,
  as_of timestamptz not null generated always as (least(occurred_at, recorded_at)) stored,
  earned_period date not null,
  event_type event_type not null,
  source_type source_type not null,
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  source text not null,
  external_id text not null,
  amount numeric(20, 4) not null check (amount >= 0 and amount < 'NaN'),
  volume numeric(20, 4) not null check (volume >= 0 and volume < 'NaN'),
  product_id text,
  check (amount > 0 or volume > 0)
);
select guard_append_only('events');

-- Rows arrive in order of recording and nearly in order of happening: block ranges suffice for the
-- sweep ("recorded since") and for changes of history ("settled at or after").
create index events_recorded_at on events using brin (recorded_at)
  with (pages_per_range = 32, autosummarize = on);
create index events_as_of on events using brin (as_of)
  with (pages_per_range = 32, autosummarize = on);
