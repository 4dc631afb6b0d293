import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../storage/database.ts';
import { StorageError } from '../storage/faults.ts';
import { dynamic, sql } from '../storage/sql.ts';
import type { Transaction } from '../storage/transaction.ts';

/**
 * A table as an application has it, and what the test keeps beside it: `tickets_was` = the tokens at the start, `app_log` =
 * what the application did, in the transaction that did it, `token_log` = every token that changed and who changed it.
 */
export const foreignTables = (rows: number): string => `
  create table tickets (id bigint primary key, uid text not null unique, token uuid, note text);
  create unique index tickets_token on tickets (token) where token is not null;
  insert into tickets select g * 1000, 'r' || g, case when g % 100 = 0 then null else gen_random_uuid() end, 'note'
    from generate_series(1, ${rows}) g;
  create table tickets_was as select uid, token from tickets where token is not null;
  create index on tickets_was (token); create index on tickets_was (uid);
  create table app_log (n bigint generated always as identity primary key, uid text not null, did text not null, token uuid, note text);
  create table token_log (uid text not null, was uuid, is_now uuid, by_whom text not null);
  create function log_token() returns trigger language plpgsql as $$ begin
    insert into token_log values (new.uid, old.token, new.token, current_setting('application_name')); return null; end $$;
  create trigger log_token after update of token on tickets for each row when (old.token is distinct from new.token)
    execute function log_token();
  analyze tickets`;

const writers = 3;

export interface ForeignTraffic {
  /** Transactions that are known to be committed. */
  committed(): number;
  /** Transactions that were cut off. */
  cut(): number;
  stop(): Promise<void>;
}

/**
 * Inserts, changes, deletes and moves keys, each writer rows of its own. The application takes no notice of old tokens: it only
 * writes such that it made itself.
 */
export function startForeignTraffic(db: Database, rows: number): ForeignTraffic {
  let committed = 0;
  let cut = 0;
  let running = true;
  const write = async (writer: number): Promise<void> => {
    for (let n = 0; running; n++) {
      // One row is not written by two, so that the order of its entries in the log is the order of what was done.
      const uid = `r${Math.floor(Math.random() * Math.floor(rows / writers)) * writers + writer + 1}`;
      try {
        await db.transaction((tx) => deeds[n % deeds.length]?.(tx, uid, `${writer}-${n}`) ?? Promise.resolve());
        committed++;
      } catch (error) {
        if (!(error instanceof StorageError) || error.fault === null) throw error;
        cut++;
        await delay(20);
      }
    }
  };
  const all = Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  all.catch(() => {});
  return {
    committed: () => committed,
    cut: () => cut,
    async stop() {
      running = false;
      await all;
    },
  };
}

type Deed = (tx: Transaction, uid: string, name: string) => Promise<void>;

const log = (tx: Transaction, entry: { uid: string; did: string; token?: string | null; note?: string | null }) =>
  tx.run(
    dynamic(sql`insert into app_log (uid, did, token, note)
      values (${entry.uid}, ${entry.did}, ${entry.token ?? null}::uuid, ${entry.note ?? null})`),
  );

const insert: Deed = async (tx, _, name) => {
  const [uid, token] = [`new-${name}`, randomUUID()];
  // Between the keys of the others, so that the run passes by.
  const id = Math.floor(Math.random() * 200_000_000) * 1000 + 1 + Math.floor(Math.random() * 998);
  const made = await tx.run(
    dynamic(sql`insert into tickets values (${id}, ${uid}, ${token}::uuid, 'new') on conflict do nothing returning id`),
  );
  if (made.length > 0) await log(tx, { uid, did: 'insert', token });
};

const setToken: Deed = async (tx, uid) => {
  const token = randomUUID();
  const changed = await tx.run(dynamic(sql`update tickets set token = ${token}::uuid where uid = ${uid} returning id`));
  if (changed.length > 0) await log(tx, { uid, did: 'token', token });
};

const setNote: Deed = async (tx, uid, name) => {
  const changed = await tx.run(dynamic(sql`update tickets set note = ${name} where uid = ${uid} returning id`));
  if (changed.length > 0) await log(tx, { uid, did: 'note', note: name });
};

/** Far behind the run, or far before it. */
const moveKey: Deed = async (tx, uid) => {
  const far = Math.random() < 0.5 ? -1 : 1;
  const moved = await tx.run(
    dynamic(
      sql`update tickets set id = ${far}::bigint * (1000000000000 + abs(id) % 1000000000000) where uid = ${uid} returning id`,
    ),
  );
  if (moved.length > 0) await log(tx, { uid, did: 'move' });
};

const remove: Deed = async (tx, uid) => {
  const gone = await tx.run(dynamic(sql`delete from tickets where uid = ${uid} returning id`));
  if (gone.length > 0) await log(tx, { uid, did: 'delete' });
};

const deeds: readonly Deed[] = [insert, setToken, setNote, moveKey, insert, setNote, moveKey, remove];

export interface ForeignVerdict {
  readonly oldTokensLeft: number;
  readonly touchedTwice: number;
  /** Tokens of the application's own making that the run replaced. */
  readonly ownTokensReplaced: number;
  /** Rows that were there at the start and that nobody gave another token. */
  readonly notReplaced: number;
  readonly wrongTokens: number;
  readonly wrongNotes: number;
  readonly deletedAndBack: number;
  readonly insertedAndGone: number;
  readonly nullsLost: number;
}

/** Compares the table with what the application did. All of it is to be 0. */
export async function judgeForeign(db: Database): Promise<ForeignVerdict> {
  const [verdict] = await db.query(
    dynamic<ForeignVerdict>(sql`
      with last_token as (select distinct on (uid) uid, token from app_log where token is not null order by uid, n desc),
           last_note as (select distinct on (uid) uid, note from app_log where note is not null order by uid, n desc),
           gone as (select distinct uid from app_log where did = 'delete'),
           mine as (select * from token_log where by_whom like 'milliard jobs%')
      select (select count(*)::int from tickets where token in (select token from tickets_was)) as "oldTokensLeft",
             (select count(*)::int from (select uid from mine group by uid having count(*) > 1) x) as "touchedTwice",
             (select count(*)::int from mine where was not in (select token from tickets_was)) as "ownTokensReplaced",
             (select count(*)::int from tickets t join tickets_was w using (uid) where t.token is not distinct from w.token) as "notReplaced",
             (select count(*)::int from tickets t join last_token l using (uid) where t.token is distinct from l.token) as "wrongTokens",
             (select count(*)::int from tickets t join last_note l using (uid) where t.note is distinct from l.note) as "wrongNotes",
             (select count(*)::int from tickets t join gone using (uid)) as "deletedAndBack",
             (select count(*)::int from app_log l where did = 'insert' and not exists (select from tickets t where t.uid = l.uid)) as "insertedAndGone",
             (select count(*)::int from mine where was is null) as "nullsLost"`),
  );
  if (verdict === undefined) throw new Error('no verdict');
  return verdict;
}
