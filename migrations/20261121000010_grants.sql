-- The least that each binary needs. Nobody may update, delete or truncate what is append-only.
-- Partitions carry no grants of their own: they are reached through the ledger.
grant usage on schema public to lineage_ingest, lineage_worker, lineage_ops;
grant execute on function ensure_ledger_partition(date)
  to lineage_ingest, lineage_worker, lineage_ops;
grant execute on function begin_closure_load(), end_closure_load() to lineage_ops;

-- Everything can be read by operators; ingest answers queries about everything but plan files.
grant select on all tables in schema public to lineage_ops;
grant select on programme, ranks, members, member_sponsors, member_states, member_tree_paths,
  member_references, commission_plans, commission_rules, events, commission_outcomes,
  commission_ledger, member_balance, event_failures, event_state, api_keys to lineage_ingest;
grant select on programme, ranks, members, member_sponsors, member_states, member_tree_paths,
  member_references, commission_plans, commission_rules, events, commission_outcomes,
  event_failures to lineage_worker;

-- Ingest records events and enrols members; an enrolment revives the events that waited for it.
grant insert on events, member_references, members, member_tree_paths to lineage_ingest;
grant update (state, attempts, next_attempt_at) on event_failures to lineage_ingest;

-- The worker settles.
grant insert on commission_outcomes, commission_ledger to lineage_worker;
grant insert, update, delete on event_failures to lineage_worker;

-- Operators set up the programme, import members, apply plans and manage keys.
grant update on programme to lineage_ops;
grant update, delete on ranks to lineage_ops;
grant insert on ranks, members, member_tree_paths,
  commission_plans, commission_rules, api_keys to lineage_ops;
grant update (revoked_at) on api_keys to lineage_ops;
grant update (state, attempts, next_attempt_at) on event_failures to lineage_ops;

-- Both write history, but when it was recorded is for PostgreSQL's clock to say.
grant insert (member_id, effective_at, sponsor_id, actor, reason) on member_sponsors
  to lineage_ingest, lineage_ops;
grant insert (member_id, effective_at, status, rank, actor, reason) on member_states
  to lineage_ingest, lineage_ops;
