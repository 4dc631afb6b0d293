-- What the classic answers have in common, in a schema of each one's own: the raw table of Milliard, and sums by day.
create table records (like public.usage_records including all) partition by range (day);
create table records_default partition of records default;

create table daily (
  subscription_id text collate "C" not null,
  usage_type text collate "C" not null,
  day date not null,
  records bigint not null,
  total_used numeric not null,
  total_price numeric not null,
  primary key (subscription_id, usage_type, day)
) with (fillfactor = 80);
