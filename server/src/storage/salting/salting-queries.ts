import type { Instant } from '../../core/time.ts';
import { orderLockClass } from '../server-lease.ts';
import { type Statement, statement } from '../sql.ts';
import type { DistributedLayout, LeaseHolder } from './salting.ts';

/** Held by the one `salt` that is at work, on a session of its own. Fixed for ever: processes of two versions must agree. */
const saltLockClass = 1_835_625_068;

export const tryLockSalting = statement<{ got: boolean }>(
  'salting_lock',
  `select pg_try_advisory_lock(${saltLockClass}, 0) as got`,
);

export const selectSaltLayouts = statement<DistributedLayout>(
  'salting_layouts',
  `select customer_id as "customerId", layout, ways, state, epoch, created_at as "createdAt"
     from customer_salts order by customer_id, layout`,
);

export const selectLeases = statement<LeaseHolder>(
  'salting_leases',
  `select server_id as "serverId", lock_number as "lockNumber", application, version, host, pid, started_at as "startedAt",
          renewed_at as "renewedAt", seen_epoch as "seenEpoch", true as "isLive",
          (extract(epoch from now() - renewed_at) * 1000)::integer as "ageMs"
     from server_leases where expires_at > now() order by started_at, server_id`,
);

export const selectNow = statement<{ now: Instant }>('salting_now', 'select now() as now');

/** Only whoever holds the lock asks: epochs are committed in the order in which they are given out. */
export const nextEpoch = statement<{ epoch: bigint }>(
  'salting_epoch',
  `select nextval('customer_salts_epochs') as epoch`,
);

/** Nobody else is at work, so whatever drains was left behind by a process that has died. */
export const deleteLeftBehind = statement<{ customerId: string }>(
  'salting_left_behind',
  `delete from customer_salts where state = 'draining' returning customer_id as "customerId"`,
);

export interface Draining {
  readonly customerId: string;
  readonly layout: number;
  readonly ways: number;
  readonly epoch: bigint;
  readonly drainMs: number;
}

export const insertDraining = statement<Record<string, never>, [Draining]>(
  'salting_drain',
  `insert into customer_salts (customer_id, layout, ways, state, epoch, drain_until)
   values ($1, $2, $3, 'draining', $4, now() + $5::double precision * interval '1 millisecond')`,
  ({ customerId, layout, ways, epoch, drainMs }) => [customerId, layout, ways, epoch, drainMs],
);

type Target = Pick<Draining, 'customerId' | 'layout' | 'epoch'>;

/** Nothing, where the row is gone: somebody thought that this process had died. */
export const activate = statement<{ epoch: bigint }, [Target & { readonly activeEpoch: bigint }]>(
  'salting_activate',
  `update customer_salts set state = 'active', epoch = $4, drain_until = null
    where customer_id = $1 and layout = $2 and epoch = $3 and state = 'draining' and drain_until > now() returning epoch`,
  ({ customerId, layout, epoch, activeEpoch }) => [customerId, layout, epoch, activeEpoch],
);

export const withdraw = statement<{ epoch: bigint }, [Target]>(
  'salting_withdraw',
  `delete from customer_salts where customer_id = $1 and layout = $2 and epoch = $3 and state = 'draining' returning epoch`,
  ({ customerId, layout, epoch }) => [customerId, layout, epoch],
);

export const insertSaltAudit = statement<Record<string, never>, [actor: string, customerId: string, facts: object]>(
  'salting_audit',
  `insert into audit_log (actor, action, subject, facts) values ($1, 'customer.salt', $2, $3)`,
  (actor, customerId, facts) => [actor, customerId, JSON.stringify(facts)],
);

const orderLocks = `pg_locks l where l.locktype = 'advisory' and l.classid = ${orderLockClass} and l.objsubid = 2 and l.granted
  and l.database = (select oid from pg_database where datname = current_database())`;

/**
 * As one JSON text, so that it can be asked on every node: transactions that write orders, and on Citus those that were prepared
 * on this node for one on another.
 */
const openTransactionsText = (isCitus: boolean): string =>
  `select coalesce(json_agg(t), '[]')::text from (
     select l.pid::text || ' ' || l.virtualtransaction as id, l.objid::bigint as "lockNumber",
            coalesce((extract(epoch from clock_timestamp() - a.xact_start) * 1000)::bigint, 0) as "ageMs"
       from (select * from ${orderLocks}) l left join pg_stat_activity a on a.pid = l.pid
     ${isCitus ? preparedText : ''}) t`;

const preparedText = `union all
     select gid, null, (extract(epoch from clock_timestamp() - prepared) * 1000)::bigint from pg_prepared_xacts
      where database = current_database() and gid like 'citus\\_%'`;

/** A process without a live lease may write no more: what it has open is ended. */
const endOthersText = (lockNumbers: readonly number[]): string =>
  `select count(*)::text from (select pg_terminate_backend(pid) from (select l.pid from ${orderLocks}
      and l.objid::bigint <> all (array[${lockNumbers.join(', ')}]::bigint[])) dead) ended`;

/** One text from every node. */
interface NodeText {
  readonly node: number;
  readonly success: boolean;
  readonly result: string;
}

const onEveryNode = (text: string, isCitus: boolean): Statement<NodeText> =>
  isCitus
    ? { text: 'select nodeid as node, success, result from run_command_on_all_nodes($1)', values: [text] }
    : { text: `select 0 as node, true as success, (${text}) as result`, values: [] };

export const selectOpenTransactions = (isCitus: boolean): Statement<NodeText> =>
  onEveryNode(openTransactionsText(isCitus), isCitus);

/** @param lockNumbers of the leases that are live */
export const endTransactionsOfOthers = (lockNumbers: readonly number[], isCitus: boolean): Statement<NodeText> =>
  onEveryNode(endOthersText(lockNumbers), isCitus);
