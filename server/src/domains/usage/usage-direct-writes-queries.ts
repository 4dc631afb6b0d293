import { formatInstant, type Instant } from '../../core/time.ts';
import { type Statement, statement } from '../../storage/sql.ts';

/** The triggers on usage_records, by the event each one is for. */
export const directTriggers = {
  usage_direct_bucket: `before insert on usage_records for each row when (new.bucket is null) execute function usage_direct_bucket()`,
  usage_direct_inserted: `after insert on usage_records referencing new table as new_rows
    for each statement execute function usage_direct_written()`,
  usage_direct_updated: `after update on usage_records referencing old table as old_rows new table as new_rows
    for each statement execute function usage_direct_written()`,
  usage_direct_deleted: `after delete on usage_records referencing old table as old_rows
    for each statement execute function usage_direct_written()`,
  usage_direct_truncated: `before truncate on usage_records for each statement execute function usage_direct_truncated()`,
} as const;

const plain = (text: string): Statement<never> => ({ text, values: [] });

// Functions run with the rights of their owner: nobody's temporary table may stand in for the ledger.
const searchOnlyHere = plain(`select set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true)`);

// The same within a transaction, different between any two: milliseconds since 2020 and 22 bits, as the server makes them.
const batchIdFunction = `create or replace function usage_direct_batch_id() returns bigint language sql volatile as $$
  select ((floor(extract(epoch from now()) * 1000)::bigint - 1577836800000) << 22) | (txid_current() & 4194303)
$$`;

const bucketFunction = `create or replace function usage_direct_bucket() returns trigger
  language plpgsql security definer set search_path from current as $$
begin
  new.bucket := bucket_of(new.subscription_id);
  return new;
end $$`;

const truncatedFunction = `create or replace function usage_direct_truncated() returns trigger language plpgsql as $$
begin
  raise exception 'TRUNCATE of usage_records would leave its sums behind'
    using errcode = 'restrict_violation',
          hint = 'DELETE the records, or drop whole days with: milliard usage drop-raw';
end $$`;

// One row of the ledger a transaction, whatever it writes. DO UPDATE meets a row of this transaction only.
const ledgerFunction = `create or replace function usage_direct_ledger(rows_written integer, first date, last date) returns void
  language plpgsql security definer set search_path from current as $$
begin
  insert into usage_batches as b (batch_id, kind, actor, part, rows, first_day, last_day, created_at)
  values (usage_direct_batch_id(), 'direct', session_user, 1, rows_written, first, last, clock_timestamp())
  on conflict (batch_id) do update
     set rows = b.rows + excluded.rows, first_day = least(b.first_day, excluded.first_day),
         last_day = greatest(b.last_day, excluded.last_day)
   where b.kind = 'direct' and age(b.xmin) <= 0;
  if not found then
    raise exception 'Two batches of usage had the same number. Run the transaction again.' using errcode = 'serialization_failure';
  end if;
end $$`;

// What changes in the sums that have the rows already, a row a sum. Of several statements of a transaction they add up.
const writeDifferences = (changes: string): string => `with changes as (
        ${changes}
      ), written as (
        insert into usage_adjustments as a (batch_id, day, bucket, side, revision, records_delta, usage_type, subscription_id, source,
               reference, used_delta, price_delta, actor, recorded_at)
        select own, c.day, c.bucket, 0, 1, sum(c.sign), c.usage_type, c.subscription_id, 'direct',
               json_build_array(own::text, c.usage_type, c.day)::text, sum(c.sign * c.used::numeric), sum(c.sign * c.price),
               session_user, clock_timestamp()
          from changes c join usage_batches b on b.batch_id = c.batch_id and b.rolled_up_at is not null
         group by c.day, c.bucket, c.usage_type, c.subscription_id
        having sum(c.sign) <> 0 or sum(c.sign * c.used::numeric) <> 0 or sum(c.sign * c.price) <> 0
         order by c.bucket, c.subscription_id, c.usage_type, c.day
        on conflict (bucket, subscription_id, source, reference, revision, side) do update
           set records_delta = a.records_delta + excluded.records_delta, used_delta = a.used_delta + excluded.used_delta,
               price_delta = a.price_delta + excluded.price_delta
        returning a.day
      )
      select count(*)::integer as rows, min(w.day) as first, max(w.day) as last into part from written w;`;

/**
 * Inserted rows get a batch of the transaction's own, which the rollup takes like any other. Of rows that are changed or deleted,
 * those of open batches need nothing: the rollup will read what they are then. The ledger rows are held so that it cannot come in
 * between. For those the sums have already, the difference is written.
 */
const writtenFunction = `create or replace function usage_direct_written() returns trigger
  language plpgsql security definer set search_path from current as $$
declare
  own constant bigint := usage_direct_batch_id();
  latest constant timestamptz := clock_timestamp() + interval '5 minutes';
  is_direct boolean := tg_op <> 'INSERT';
  horizon date;
  part record;
  bad record;
begin
  if tg_op = 'INSERT' then
    for part in select n.batch_id, count(*)::integer as rows, min(n.day) as first, max(n.day) as last
                  from new_rows n group by n.batch_id
    loop
      -- What the server writes has its row in the ledger already, written in this very transaction.
      continue when exists (select from usage_batches b
                             where b.batch_id = part.batch_id and b.kind <> 'direct' and age(b.xmin) <= 0);
      if part.batch_id <> own then
        raise exception 'batch_id % is not the batch of this transaction: its rows would not be counted', part.batch_id
          using errcode = 'check_violation', hint = 'Leave the column batch_id out: it has a default.';
      end if;
      is_direct := true;
      perform usage_direct_ledger(part.rows, part.first, part.last);
    end loop;
  else
    if tg_op = 'UPDATE' then
      perform from usage_batches b
        where b.batch_id in (select o.batch_id from old_rows o union select n.batch_id from new_rows n)
        order by b.batch_id for share;
    else
      perform from usage_batches b where b.batch_id in (select o.batch_id from old_rows o) order by b.batch_id for share;
    end if;
    select o.subscription_id, o.record_id, o.day into bad
      from old_rows o join usage_corrections c using (bucket, subscription_id, record_id, day) limit 1;
    if found then
      raise exception 'record % of % on % was corrected through the API: its corrections say how it differs from the raw row',
        bad.record_id, bad.subscription_id, bad.day
        using errcode = 'check_violation', hint = 'Correct or delete it through the API as well.';
    end if;
    if tg_op = 'UPDATE' then
      select n.batch_id into bad from new_rows n
       where not exists (select from usage_batches b where b.batch_id = n.batch_id) limit 1;
      if found then
        raise exception 'batch_id % is not in usage_batches: its rows were never counted', bad.batch_id
          using errcode = 'check_violation', hint = 'Delete the rows and insert them again without the column batch_id.';
      end if;
      ${writeDifferences(`select o.*, -1 as sign from old_rows o union all select n.*, 1 from new_rows n`)}
    else
      ${writeDifferences('select o.*, -1 as sign from old_rows o')}
    end if;
    if part.rows > 0 then
      perform usage_direct_ledger(part.rows, part.first, part.last);
    end if;
  end if;
  if tg_op = 'DELETE' or not is_direct then
    return null;
  end if;
  -- Held: raw rows of these days are not dropped before this transaction ends.
  select h.raw_from into horizon from usage_horizon h for share;
  select n.subscription_id, n.record_id, n.day, case
           when horizon is null then 'no day is open yet: start a server once'
           when n.day is distinct from (n.used_at at time zone 'UTC')::date
             then 'day must be (used_at at time zone ''UTC'')::date'
           when n.day < horizon then 'days before ' || horizon || ' take no raw usage any more'
           when n.used_at > latest then 'used_at is more than 5 minutes ahead'
           when n.bucket <> bucket_of(n.subscription_id) then 'bucket must be bucket_of(subscription_id), or left out of an INSERT'
           when scale(trim_scale(n.price)) > 6 then 'price has more than 6 places'
           when n.usage_type not in (select t.usage_type from usage_types t) then 'usage_type ' || n.usage_type || ' is not in usage_types'
           when length(n.subscription_id) not between 1 and 200 or length(n.record_id) not between 1 and 200
             then 'subscription_id and record_id have 1 to 200 characters'
         end as fault
    into bad from new_rows n
   where (tg_op = 'UPDATE' or n.batch_id = own)
     and (horizon is null or n.day is distinct from (n.used_at at time zone 'UTC')::date or n.day < horizon or n.used_at > latest
          or n.bucket <> bucket_of(n.subscription_id) or scale(trim_scale(n.price)) > 6
          or n.usage_type not in (select t.usage_type from usage_types t)
          or length(n.subscription_id) not between 1 and 200 or length(n.record_id) not between 1 and 200)
   limit 1;
  if found then
    raise exception 'record % of % on %: %', bad.record_id, bad.subscription_id, bad.day, bad.fault using errcode = 'check_violation';
  end if;
  return null;
end $$`;

const triggerNames = Object.keys(directTriggers) as (keyof typeof directTriggers)[];
const dropTriggers = triggerNames.map((name) => plain(`drop trigger if exists ${name} on usage_records`));

/** What installs direct writes, in one transaction; again = as new. */
export const enableStatements: readonly Statement<never>[] = [
  searchOnlyHere,
  ...[batchIdFunction, bucketFunction, truncatedFunction, ledgerFunction, writtenFunction].map(plain),
  ...dropTriggers,
  ...triggerNames.map((name) => plain(`create trigger ${name} ${directTriggers[name]}`)),
  plain('alter table only usage_records alter column batch_id set default usage_direct_batch_id()'),
];

/** What takes them away. Partitions made meanwhile have copied the default. */
export const disableStatements: readonly Statement<never>[] = [
  ...dropTriggers,
  plain('alter table usage_records alter column batch_id drop default'),
  plain('drop function if exists usage_direct_written()'),
  plain('drop function if exists usage_direct_ledger(integer, date, date)'),
  plain('drop function if exists usage_direct_truncated()'),
  plain('drop function if exists usage_direct_bucket()'),
  plain('drop function if exists usage_direct_batch_id()'),
];

export const limitLockWait: Statement<never> = plain(`set local lock_timeout = '2s'`);

/** Names of the triggers that are there and fire. */
export const selectDirectTriggers = statement<{ name: string }>(
  'usage_direct_triggers',
  `select tgname as name from pg_trigger
    where tgrelid = 'usage_records'::regclass and tgname like 'usage\\_direct\\_%' and tgenabled in ('O', 'A')`,
);

interface DirectBatches {
  readonly batches: bigint;
  readonly openBatches: bigint;
  readonly lastAt: Instant | null;
}

export const selectDirectBatches = statement<DirectBatches>(
  'usage_direct_batches',
  `select count(*) as batches, count(*) filter (where rolled_up_at is null) as "openBatches", max(created_at) as "lastAt"
     from usage_batches where kind = 'direct'`,
);

export const insertDirectAudit = statement<never, [string, string, Instant]>(
  'insert_usage_direct_audit',
  `insert into audit_log (actor, action, subject, recorded_at) values ($1, $2, 'usage_records', $3)`,
  (actor, action, at) => [actor, action, formatInstant(at)],
);
