-- A trigger for each row: its sum is changed in place, in the transaction of the writer.
create function add_row() returns trigger language plpgsql as $$
begin
  if tg_op <> 'INSERT' then
    update daily set records = records - 1, total_used = total_used - old.used, total_price = total_price - old.price
     where subscription_id = old.subscription_id and usage_type = old.usage_type and day = old.day;
  end if;
  if tg_op <> 'DELETE' then
    insert into daily (subscription_id, usage_type, day, records, total_used, total_price)
    values (new.subscription_id, new.usage_type, new.day, 1, new.used, new.price)
    on conflict (subscription_id, usage_type, day) do update
       set records = daily.records + 1, total_used = daily.total_used + excluded.total_used,
           total_price = daily.total_price + excluded.total_price;
  end if;
  return null;
end $$;
create trigger add_row after insert or update or delete on records for each row execute function add_row();
