import type { RowFault } from '../../core/import-line.ts';
import type { Clock } from '../../core/time.ts';
import { writeHalving } from '../../storage/halving.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { readAddress } from './address.ts';
import type { Address } from './shipment.ts';
import { announceShipments } from './shipment-announcement-service.ts';
import { type ImportCandidate, type ImportOutcome, outcomeOf } from './shipment-import-merge.ts';
import { mayRecord, type PlanOptions, planChange } from './shipment-import-plan.ts';
import {
  changeShipments,
  createShipmentRows,
  findEvents,
  findStored,
  type JudgedChange,
  judgeChange,
  type Reader,
  type Stored,
} from './shipment-import-store-service.ts';
import { byShipmentKey, keyText, type ShipmentKey } from './tracking-key.ts';

/** Who recorded the statuses of a file. */
export const importActor = 'import';

export interface ShipmentImportWriter {
  /**
   * Writes shipments in a transaction of the caller's, each whole; no two candidates have the same key. One that the database
   * refuses is refused alone. Outcomes in the order of the candidates.
   */
  writeIn<Rejection>(
    tx: Transaction,
    candidates: readonly ImportCandidate<Rejection>[],
    actor: string,
  ): Promise<ImportOutcome<Rejection>[]>;
  /** What `writeIn` would answer, found out without writing or locking. @param read runs a statement outside a transaction */
  preview<Rejection>(
    read: Reader,
    candidates: readonly ImportCandidate<Rejection>[],
  ): Promise<ImportOutcome<Rejection>[]>;
}

export function createShipmentImportWriter({ clock }: { readonly clock: Clock }): ShipmentImportWriter {
  const readAddressOnce = remembered(readAddress);
  const optionsOf = (actor: string): PlanOptions => ({ now: clock.now(), actor, readAddress: readAddressOnce });
  return {
    writeIn: (tx, candidates, actor) =>
      writeHalving(
        candidates,
        (part) => tx.savepoint(() => writeAll(tx, part, optionsOf(actor))),
        (candidate) => ({ ...nothing, key: candidate.key, rejected: candidate.refuse(refused) }),
      ),
    async preview(read, candidates) {
      const { settled, missing, changing } = await sortOut(read, candidates, optionsOf(importActor));
      const created = missing.map((candidate) => {
        const judged = candidate.judge(null);
        return outcomeOf(candidate.key, judged.shipment === null ? 'rejected' : 'created', judged);
      });
      return inOrder(candidates, [...settled, ...created, ...changing.map(({ outcome }) => outcome)]);
    },
  };
}

const refused: RowFault = { code: 'shipment_refused', detail: 'the database refused this shipment' };
const nothing = { kind: 'rejected', articles: 0, unknownStatuses: [], unused: [] } as const;

const rememberedAddresses = 2_000;

/** The same addresses come again and again: a merchant has one, and articles of a shipment share theirs. */
function remembered(read: (told: Address) => Address): (told: Address) => Address {
  const known = new Map<string, Address>();
  return (told) => {
    const found = known.get(told.address);
    if (found !== undefined) return found;
    const address = read(told);
    if (known.size >= rememberedAddresses) known.clear();
    known.set(told.address, address);
    return address;
  };
}

function inOrder<Rejection>(
  candidates: readonly ImportCandidate<Rejection>[],
  outcomes: readonly ImportOutcome<Rejection>[],
): ImportOutcome<Rejection>[] {
  const byKey = new Map(outcomes.map((outcome) => [keyText(outcome.key), outcome]));
  return candidates.map(({ key }) => {
    const outcome = byKey.get(keyText(key));
    if (outcome === undefined) throw new RangeError('Every shipment has an outcome.');
    return outcome;
  });
}

/**
 * What is stored is looked at without locks first, so that a file that is sent again touches nothing; only what changes is
 * locked, in the order of the keys, and looked at again.
 */
async function writeAll<Rejection>(
  tx: Transaction,
  candidates: readonly ImportCandidate<Rejection>[],
  options: PlanOptions,
): Promise<ImportOutcome<Rejection>[]> {
  const outcomes: ImportOutcome<Rejection>[] = [];
  let open: readonly ImportCandidate<Rejection>[] = [...candidates].sort((a, b) => byShipmentKey(a.key, b.key));
  // Somebody may create one of the shipments meanwhile: those that were missing are looked at again, and one of them is there.
  while (open.length > 0) {
    const { settled, missing, changing } = await sortOut(tx.run, open, options);
    outcomes.push(...settled);
    outcomes.push(...(await changeShipments(tx, changing, options)));
    const created = await createShipmentRows(tx, missing, options);
    outcomes.push(...(created ?? []));
    open = created === null ? missing : [];
  }
  const changed = outcomes.filter(({ kind }) => kind === 'created' || kind === 'updated');
  await announceShipments(
    tx,
    changed.map(({ key }) => key),
  );
  return inOrder(candidates, outcomes);
}

/** Shipments by what is to be done with them. */
interface Sorted<Rejection> {
  /** Nothing. */
  readonly settled: readonly ImportOutcome<Rejection>[];
  readonly missing: readonly ImportCandidate<Rejection>[];
  readonly changing: readonly JudgedChange<Rejection>[];
}

async function sortOut<Rejection>(
  read: Reader,
  candidates: readonly ImportCandidate<Rejection>[],
  options: PlanOptions,
): Promise<Sorted<Rejection>> {
  const stored = await findStored(
    read,
    candidates.map(({ key }) => key),
  );
  if (stored.size === 0) return { settled: [], missing: candidates, changing: [] };
  const settled: ImportOutcome<Rejection>[] = [];
  const missing: ImportCandidate<Rejection>[] = [];
  const there: { readonly known: Stored; readonly change: JudgedChange<Rejection> }[] = [];
  const recording: ShipmentKey[] = [];
  for (const candidate of candidates) {
    const { key } = candidate;
    const known = stored.get(keyText(key));
    if (known === undefined) {
      missing.push(candidate);
      continue;
    }
    const change = judgeChange(candidate, known);
    there.push({ known, change });
    if (change.imported !== null && mayRecord(known, change.imported)) recording.push(key);
  }
  const events = await findEvents(read, recording);
  const changing: JudgedChange<Rejection>[] = [];
  for (const { known, change } of there) {
    const { candidate, imported, outcome } = change;
    if (imported === null) {
      settled.push(outcome);
      continue;
    }
    const plan = planChange({ ...known, events: events.get(keyText(candidate.key)) ?? [] }, imported, options);
    if (plan === null) settled.push({ ...outcome, kind: 'unchanged' });
    else changing.push(change);
  }
  return { settled, missing, changing };
}
