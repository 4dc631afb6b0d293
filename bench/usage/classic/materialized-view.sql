-- A materialized view: the same sums as of the last refresh, which adds up all raw rows that are there.
drop table daily;
create materialized view daily as
  select subscription_id, usage_type, day, count(*) as records, sum(used) as total_used, sum(price) as total_price
    from records group by subscription_id, usage_type, day;
create unique index on daily (subscription_id, usage_type, day);
