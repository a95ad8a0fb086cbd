-- Packed inputs may now say when each member joined and how the sponsor shares direct rewards, where
-- a rule or the sponsor asks for it. The format is documented in crates/domain/src/inputs.rs.
drop function unpack_inputs(bytea);
create function unpack_inputs(inputs bytea)
returns table ("position" integer, member_id uuid, rank smallint, status member_status,
               joined_at timestamptz, money_to_self numeric, points_to_self numeric)
language sql immutable strict as $$
  with form as (
    select get_byte(inputs, 0) = 2 and get_byte(inputs, 1) & 1 <> 0 as with_joined_at,
           get_byte(inputs, 0) = 2 and get_byte(inputs, 1) & 2 <> 0 as with_split
     where get_byte(inputs, 0) in (1, 2)),
  layout as (
    select with_joined_at, with_split,
           get_byte(inputs, 0) + case when with_split then 8 else 0 end as head,
           18 + case when with_joined_at then 8 else 0 end as size
      from form),
  visits as (
    select layout.*, place, head + size * place as at
      from layout
     cross join lateral generate_series(0, (length(inputs) - head) / size - 1) as place)
  select place,
         encode(substr(inputs, 1 + at, 16), 'hex')::uuid,
         get_byte(inputs, at + 16)::smallint,
         (enum_range(null::member_status))[1 + get_byte(inputs, at + 17)],
         case when with_joined_at
              then timestamptz 'epoch' + interval '1 microsecond'
                     * ('x' || encode(substr(inputs, at + 19, 8), 'hex'))::bit(64)::bigint end,
         -- The split is the sponsor's.
         case when with_split and place = 1
              then (('x' || encode(substr(inputs, 3, 4), 'hex'))::bit(32)::integer / 10000.0)::numeric(7, 4) end,
         case when with_split and place = 1
              then (('x' || encode(substr(inputs, 7, 4), 'hex'))::bit(32)::integer / 10000.0)::numeric(7, 4) end
    from visits
   order by place
$$;
