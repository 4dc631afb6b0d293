-- A plain view: nothing is stored, every read adds up the raw rows that are there.
drop table daily;
create view daily as
  select subscription_id, usage_type, day, count(*) as records, sum(used) as total_used, sum(price) as total_price
    from records group by subscription_id, usage_type, day;
