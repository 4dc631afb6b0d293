-- Makes the nodes of compose.citus.yaml one cluster. Each call says what should be: again, nothing changes.
-- The extension stands in the database `milliard` of every node already: the image made it.
select citus_set_coordinator_host('coordinator', 5432);
select citus_add_node('worker-1', 5432);
select citus_add_node('worker-2', 5432);
-- Nobody comes further while a node is not in use.
do $$
begin
  if (select count(*) from pg_dist_node where isactive and hasmetadata and noderole = 'primary') <> 3 then
    raise exception 'The cluster should have 3 nodes in use: %', (select array_agg(nodename || ':' || nodeport) from pg_dist_node where isactive);
  end if;
end
$$;
