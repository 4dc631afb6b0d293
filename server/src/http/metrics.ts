import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { TokenVerdict } from '../domains/tickets/ticket-token.ts';
import type { UsageLag } from '../domains/usage/usage-service.ts';
import type { UnfinishedRuns } from '../jobs/jobs.ts';
import { addCacheMetrics, type CacheMetricSources } from './cache-metrics.ts';
import { addClusterGauges, type ClusterMetricSources } from './cluster-metrics.ts';
import { addJobGauges } from './job-metrics.ts';
import { addUsageGauges } from './usage-gauges.ts';

interface PoolUse {
  readonly open: number;
  readonly idle: number;
  readonly waiting: number;
}

/** What /metrics reads when it is asked. */
export interface MetricSources extends CacheMetricSources, ClusterMetricSources {
  queued(): Readonly<Record<string, number>>;
  /** By the name of the pool. */
  poolUse(): Readonly<Record<string, PoolUse>>;
  jobKinds(): readonly string[];
  unfinishedRuns(): Promise<readonly UnfinishedRuns[]>;
  usageLag(): Promise<UsageLag>;
}

/** What a request is counted by. */
interface RequestLabels {
  readonly method: string;
  readonly route: string;
  readonly status: number;
}

/** Prometheus metrics of one server. Labels hold routes and statuses, never ids, keys or customers. */
export interface Metrics {
  /** For `openApp({ onCommit })`: made before the app, as the app needs it. */
  onCommit(queue: string, rows: number, durationMs: number): void;
  observeRequest(labels: RequestLabels, seconds: number): void;
  /** @param labels names of the code's own: `orders`, `created` */
  addBulkRows(labels: { readonly kind: string; readonly outcome: string }, rows: number): void;
  addVerification(verdict: TokenVerdict): void;
  /** From now on the gauges read these. */
  watch(sources: MetricSources): void;
  readonly contentType: string;
  text(): Promise<string>;
}

const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createMetrics(): Metrics {
  const register = new Registry();
  const registers = [register];
  collectDefaultMetrics({ register });
  const requests = new Histogram({
    name: 'milliard_http_request_duration_seconds',
    help: 'From the arrival of a request to the end of its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: secondsBuckets,
    registers,
  });
  const commitRows = new Histogram({
    name: 'milliard_group_commit_rows',
    help: 'Rows that one group commit wrote.',
    labelNames: ['queue'],
    buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500],
    registers,
  });
  const commitSeconds = new Histogram({
    name: 'milliard_group_commit_duration_seconds',
    help: 'Duration of one group commit.',
    labelNames: ['queue'],
    buckets: secondsBuckets,
    registers,
  });
  const bulkRows = new Counter({
    name: 'milliard_bulk_rows_total',
    help: 'Rows of bulk requests by what they are and what became of them.',
    labelNames: ['kind', 'outcome'],
    registers,
  });
  const verifications = new Counter({
    name: 'milliard_ticket_verifications_total',
    help: 'Ticket tokens that were shown, by what they were worth. Many token_rotated ones: somebody tries leaked tokens.',
    labelNames: ['result'],
    registers,
  });
  // Finding a series by its labels costs more than the observation, and so does a key put together from them: texts that are the
  // router's own need no hashing.
  const series = new Map<string, Map<string, Map<number, { observe(seconds: number): void }>>>();
  const seriesOf = ({ method, route, status }: RequestLabels) => {
    const ofMethod = computed(series, method, () => new Map());
    const ofRoute = computed(ofMethod, route, () => new Map());
    return computed(ofRoute, status, () => requests.labels({ method, route, status }));
  };

  return {
    onCommit(queue, rows, durationMs) {
      commitRows.observe({ queue }, rows);
      commitSeconds.observe({ queue }, durationMs / 1_000);
    },
    observeRequest: (labels, seconds) => seriesOf(labels).observe(seconds),
    addBulkRows(labels, rows) {
      if (rows > 0) bulkRows.inc(labels, rows);
    },
    addVerification: (result) => verifications.inc({ result }),
    watch(sources) {
      addGauges(registers, sources);
      addJobGauges(registers, sources);
      addUsageGauges(registers, sources);
      addCacheMetrics(registers, sources);
      addClusterGauges(registers, sources);
    },
    contentType: register.contentType,
    text: () => register.metrics(),
  };
}

function computed<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function addGauges(registers: Registry[], sources: MetricSources): void {
  const queued = new Gauge({
    name: 'milliard_group_commit_queued_rows',
    help: 'Writes that wait for their group commit.',
    labelNames: ['queue'],
    registers,
    collect() {
      for (const [queue, rows] of Object.entries(sources.queued())) queued.set({ queue }, rows);
    },
  });
  const connections = new Gauge({
    name: 'milliard_database_pool_connections',
    help: 'Connections of a pool, that of the requests or that of the jobs: open, idle, and work that waits for one.',
    labelNames: ['pool', 'state'],
    registers,
    collect() {
      for (const [pool, use] of Object.entries(sources.poolUse())) {
        for (const [state, count] of Object.entries(use)) connections.set({ pool, state }, count);
      }
    },
  });
}
