import type { TicketId } from '../../core/ids.ts';
import { copyChunks } from '../../storage/copy.ts';
import type { Database } from '../../storage/database.ts';
import { StorageError } from '../../storage/faults.ts';
import type { Transaction, TransactionOptions } from '../../storage/transaction.ts';
import type { Ticket } from './ticket.ts';
import { copyTicketKeys, insertTicketKeys, keyValues, selectTicketKeys } from './ticket-keys-queries.ts';
import { byHome, byKey, keyIdentity, type PlacedTicket } from './ticket-placement.ts';
import { currentGeneration } from './ticket-token.ts';
import { issueTokens } from './ticket-tokens-queries.ts';
import { copyTickets, insertTickets, ticketValues } from './tickets-queries.ts';
import { generationsForIssue } from './token-generations-service.ts';

export type TicketOutcome =
  | { readonly kind: 'created'; readonly ticket: Ticket }
  /** The same document under the same key was stored before. */
  | { readonly kind: 'replayed'; readonly ticketId: TicketId }
  | {
      readonly kind: 'refused';
      readonly code: 'ticket_key_reused' | 'ticket_refused';
      readonly ticketId: TicketId | null;
    };

/** How rows travel: `insert` for up to some hundred, `copy` for thousands. */
export type WriteMethod = 'insert' | 'copy';

interface Run {
  readonly method: WriteMethod;
  /** The transaction ran before, and perhaps it was committed. */
  readonly again: boolean;
}

/**
 * Writes a batch in one transaction: keys first, then the tickets whose keys were free, each with a token of its event's current
 * generation. What remains was stored before (a replay) or has another document under its key. Running it again after a lost
 * COMMIT does no harm: every id was made before the transaction, so its own rows are recognised.
 */
export function writeBatch(
  db: Database,
  tickets: readonly PlacedTicket[],
  { by, near }: { readonly by: WriteMethod } & Pick<TransactionOptions, 'near'>,
): Promise<TicketOutcome[]> {
  let runs = 0;
  const write = (tx: Transaction) => writeIn(tx, tickets, { method: by, again: runs++ > 0 });
  return db.transaction(write, { idempotent: true, near });
}

async function writeIn(tx: Transaction, tickets: readonly PlacedTicket[], run: Run): Promise<TicketOutcome[]> {
  const claimants = firstOfEachKey(tickets);
  const claimed = await claimKeys(tx, claimants, run.method);
  const created = tickets.filter(({ key, ticket }) => key === null || claimed.has(ticket.ticketId));
  await insertNew(tx, created, run);

  const isCreated = new Set(created.map(({ ticket }) => ticket.ticketId));
  const keys = tickets.flatMap(({ key, ticket }) => (key === null || isCreated.has(ticket.ticketId) ? [] : [key]));
  const rows = keys.length === 0 ? [] : await tx.run(selectTicketKeys(keys));
  const stored = new Map(rows.map((row) => [keyIdentity(row), row]));

  return tickets.map((placed): TicketOutcome => {
    const { ticket, identity, contentHash } = placed;
    if (isCreated.has(ticket.ticketId)) return { kind: 'created', ticket };
    const found = stored.get(identity);
    if (found === undefined) throw new StorageError('storage_fault', 'A key was neither free nor taken.');
    // Our own id under our own key: this very transaction was committed before.
    if (found.ticketId === ticket.ticketId) return { kind: 'created', ticket };
    return found.contentHash === contentHash
      ? { kind: 'replayed', ticketId: found.ticketId }
      : { kind: 'refused', code: 'ticket_key_reused', ticketId: found.ticketId };
  });
}

function firstOfEachKey(tickets: readonly PlacedTicket[]): PlacedTicket[] {
  const seen = new Set<string>();
  return tickets.filter(({ key, identity }) => {
    if (key === null || seen.has(identity)) return false;
    seen.add(identity);
    return true;
  });
}

/** @returns the ids of the tickets whose keys were free */
async function claimKeys(
  tx: Transaction,
  claimants: readonly PlacedTicket[],
  method: WriteMethod,
): Promise<Set<TicketId>> {
  const rows = [...claimants].sort(byKey).flatMap(({ key, ticket, contentHash }) => {
    return key === null ? [] : [{ ...key, ticketId: ticket.ticketId, contentHash }];
  });
  if (rows.length === 0) return new Set();
  if (method === 'copy') {
    try {
      // Most bulk rows are new: COPY first, and only where a key is taken the slower statement that says which ones.
      await tx.savepoint(() => tx.copyIn(copyTicketKeys, copyChunks(rows, keyValues)));
      return new Set(rows.map(({ ticketId }) => ticketId));
    } catch (error) {
      if (!(error instanceof StorageError && error.fault?.kind === 'unique')) throw error;
    }
  }
  return new Set((await tx.run(insertTicketKeys(rows))).map(({ ticketId }) => ticketId));
}

async function insertNew(tx: Transaction, tickets: readonly PlacedTicket[], { method, again }: Run): Promise<void> {
  if (tickets.length === 0) return;
  const rows = [...tickets].sort(byHome);
  // What a lost first run stored, or is committing still, INSERT waits for and leaves alone; COPY would fail.
  if (method === 'copy' && !again) return insertByCopy(tx, rows);
  const inserted = new Set((await tx.run(insertTickets(rows))).map(({ ticketId }) => ticketId));
  // What was there already has its token: it came with it.
  await giveTokens(
    tx,
    rows.filter(({ ticket }) => inserted.has(ticket.ticketId)),
  );
}

/** Stores tickets that are certainly new, in the order of `byHome`, each with its token. */
export async function insertByCopy(tx: Transaction, tickets: readonly PlacedTicket[]): Promise<void> {
  await tx.copyIn(copyTickets, copyChunks(tickets, ticketValues));
  await giveTokens(tx, tickets);
}

async function giveTokens(tx: Transaction, tickets: readonly PlacedTicket[]): Promise<void> {
  if (tickets.length === 0) return;
  const generations = await generationsForIssue(tx);
  const current = new Map<string, number>();
  for (const { ticket } of tickets) {
    if (!current.has(ticket.event)) current.set(ticket.event, currentGeneration(generations, ticket.event));
  }
  await tx.run(issueTokens(tickets.map((placed) => ({ placed, generation: current.get(placed.ticket.event) ?? 0 }))));
}
