-- A trigger for each statement, over its transition table: sums are changed in place, in the order of their keys.
create function add_statement() returns trigger language plpgsql as $$
begin
  if tg_op <> 'INSERT' then
    update daily d set records = d.records - s.records, total_used = d.total_used - s.used, total_price = d.total_price - s.price
      from (select subscription_id, usage_type, day, count(*) as records, sum(used) as used, sum(price) as price
              from old_rows group by subscription_id, usage_type, day) s
     where d.subscription_id = s.subscription_id and d.usage_type = s.usage_type and d.day = s.day;
  end if;
  if tg_op <> 'DELETE' then
    insert into daily (subscription_id, usage_type, day, records, total_used, total_price)
    select subscription_id, usage_type, day, count(*), sum(used), sum(price) from new_rows
     group by subscription_id, usage_type, day order by subscription_id, usage_type, day
    on conflict (subscription_id, usage_type, day) do update
       set records = daily.records + excluded.records, total_used = daily.total_used + excluded.total_used,
           total_price = daily.total_price + excluded.total_price;
  end if;
  return null;
end $$;
create trigger add_inserted after insert on records referencing new table as new_rows
  for each statement execute function add_statement();
create trigger add_updated after update on records referencing old table as old_rows new table as new_rows
  for each statement execute function add_statement();
create trigger add_deleted after delete on records referencing old table as old_rows
  for each statement execute function add_statement();
