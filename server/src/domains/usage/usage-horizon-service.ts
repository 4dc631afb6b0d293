import { type Day, dayOf, daysBetween, formatDay } from '../../core/days.ts';
import { DomainError } from '../../core/errors.ts';
import { keepLooking } from '../../core/keep-looking.ts';
import type { Logger } from '../../core/ports.ts';
import { type Clock, minuteMs } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { daysKeptAhead, ensureRawDays } from '../../storage/day-partitions.ts';
import type { UsageErrorCode, UsageType } from './usage.ts';
import {
  beginHorizon,
  type Horizon,
  horizonOf,
  insertType,
  moveHorizonBack,
  selectHorizon,
  selectTypes,
} from './usage-ledger-queries.ts';
import type { IntakeRules } from './usage-record.ts';

/** Knows which days and types are taken, and keeps their partitions ready. */
export interface UsageIntakeRules {
  /** As of the last look, a minute ago at most; what a transaction finds when it locks the horizon wins. */
  rules(): IntakeRules;
  types(): readonly UsageType[];
  /** Registers a type; one that is there stays as it is. @throws DomainError `usage_type_unknown` when it has another unit */
  addType(type: UsageType): Promise<void>;
  horizon(): Promise<Horizon>;
  /**
   * Takes raw usage from `from` on: makes partitions, then moves the horizon back; later days than the horizon change nothing.
   * @throws DomainError `raw_dropped` when raw rows from that day on were dropped
   */
  openDays(from: Day): Promise<Horizon>;
  /** Looks now: after something moved the horizon on. */
  refresh(): Promise<void>;
  close(): void;
}

export interface UsageIntakeRulesDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Days before today that a new database takes. */
  readonly rawDays: number;
}

// More partitions would make every statement over all days slow to plan.
export const maxOpenDays = 800;

/** Makes what is missing now, then looks every minute: a server that runs for years needs no restart at midnight. */
export async function startUsageIntakeRules({
  db,
  clock,
  logger,
  rawDays,
}: UsageIntakeRulesDeps): Promise<UsageIntakeRules> {
  let types: readonly UsageType[] = [];
  let names: readonly string[] = [];
  let rawFrom = 0 as Day;

  const read = async (): Promise<Horizon> => horizonOf((await db.query(selectHorizon()))[0]);
  const refresh = async (): Promise<void> => {
    const now = clock.now();
    await db.query(beginHorizon((dayOf(now) - rawDays) as Day, now));
    const horizon = await read();
    const made = await ensureRawDays(db, daysBetween(horizon.rawFrom, (dayOf(now) + daysKeptAhead) as Day));
    if (made > 0) logger.info({ partitions: made }, 'made partitions of usage');
    types = await db.query(selectTypes());
    names = types.map(({ usageType }) => usageType);
    rawFrom = horizon.rawFrom;
  };
  await refresh();
  const failure = 'could not look after the partitions of usage; trying again in a minute';
  const looking = keepLooking(refresh, { everyMs: minuteMs, first: 'later', logger, failure });

  return {
    rules: () => ({ now: clock.now(), rawFrom, types: names }),
    types: () => types,
    async addType({ usageType, unit }) {
      await db.query(insertType(usageType, unit));
      await refresh();
      const known = types.find((type) => type.usageType === usageType);
      if (known?.unit === unit) return;
      throw new DomainError<UsageErrorCode>(
        'usage_type_unknown',
        `The usage type ${usageType} is counted in ${known?.unit}, not in ${unit}. Choose another name.`,
      );
    },
    horizon: read,
    async openDays(from) {
      const now = clock.now();
      const { rawFrom: present, droppedBefore } = await read();
      if (from >= present) return { rawFrom: present, droppedBefore };
      if (droppedBefore !== null && from < droppedBefore) throw dropped(droppedBefore);
      if (dayOf(now) - from > maxOpenDays) {
        throw new DomainError<UsageErrorCode>(
          'too_old',
          `Raw usage can be taken for ${maxOpenDays} days at once: from ${formatDay((dayOf(now) - maxOpenDays) as Day)} on.`,
        );
      }
      await ensureRawDays(db, daysBetween(from, present));
      await db.query(moveHorizonBack(from, now));
      await refresh();
      const horizon = await read();
      if (horizon.rawFrom > from) throw dropped(horizon.rawFrom);
      return horizon;
    },
    refresh,
    close: () => void looking.close(),
  };
}

const dropped = (from: Day): DomainError<UsageErrorCode> =>
  new DomainError<UsageErrorCode>(
    'raw_dropped',
    `The raw usage before ${formatDay(from)} was dropped: those days take adjustments, no records.`,
    { raw_from: formatDay(from) },
  );
