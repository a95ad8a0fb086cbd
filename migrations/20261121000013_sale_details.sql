-- What a sale may carry besides its totals. What a rule can ask for is typed and append-only; what
-- the shop only wants kept is apart from it, because it may be personal data.
create type order_kind as enum ('STANDARD', 'ENROLMENT', 'SUBSCRIPTION');
create type buyer_type as enum ('MEMBER', 'CUSTOMER');

-- `line_count` tells a reader whether there are lines to look for: most sales have none, and cost
-- neither a row nor a query more than before. It also shows when lines are missing.
alter table events
  add column order_kind order_kind not null default 'STANDARD',
  add column market text,
  add column buyer_type buyer_type,
  add column line_count smallint not null default 0 check (line_count >= 0);

-- The positions of an order, numbered from 0 as they were posted. They sum up to the event's amount
-- and volume.
create table event_lines (
  event_id uuid not null,
  place smallint not null check (place >= 0),
  id text not null,
  product_id text not null,
  category text,
  quantity numeric(20, 4) not null check (quantity > 0 and quantity < 'NaN'),
  amount numeric(20, 4) not null check (amount >= 0 and amount < 'NaN'),
  volume numeric(20, 4) not null check (volume >= 0 and volume < 'NaN'),
  primary key (event_id, place)
);
select guard_append_only('event_lines');

-- Who bought, and whatever else the shop wants to find again. Never priced, never compared, and not
-- append-only: operators erase what a person asks them to erase. An event without a row here had
-- nothing to keep, or it was erased.
create table event_details (
  event_id uuid primary key,
  buyer_id text,
  order_data jsonb check (jsonb_typeof(order_data) = 'object'),
  context jsonb check (jsonb_typeof(context) = 'object')
);

grant insert, select on event_lines, event_details to lineage_ingest;
grant select on event_lines to lineage_worker;
grant select on event_lines, event_details to lineage_ops;
grant delete, update (buyer_id, order_data, context) on event_details to lineage_ops;
