-- Application-side signals, as an ORM sends them: for each record a transaction with the raw row, then read, modify and write its
-- sum. The application adds in between; these are its statements.
prepare signal_insert (text, text, text, date, bigint, numeric) as
  insert into records (batch_id, used, used_at, day, bucket, usage_type, subscription_id, record_id, price)
  values (0, $5, $4::timestamp at time zone 'UTC', $4, bucket_of($1), $3, $1, $2, $6);
prepare signal_delete (text, text, text, date) as
  delete from records where bucket = bucket_of($1) and subscription_id = $1 and record_id = $2 and day = $4 and usage_type = $3;
prepare signal_read (text, text, date) as
  select records, total_used, total_price from daily where subscription_id = $1 and usage_type = $2 and day = $3;
prepare signal_create_sum (text, text, date, bigint, numeric, numeric) as
  insert into daily (subscription_id, usage_type, day, records, total_used, total_price) values ($1, $2, $3, $4, $5, $6);
prepare signal_write_sum (text, text, date, bigint, numeric, numeric) as
  update daily set records = $4, total_used = $5, total_price = $6 where subscription_id = $1 and usage_type = $2 and day = $3;
