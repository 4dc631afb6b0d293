import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { openTestApi } from '../testing/test-api.ts';

// What Grafana's dashboard, Prometheus' alarm rules and the autoscaler ask for must be what a server tells: a name that nobody exports
// makes an empty panel and an alarm that never comes.
const textOf = (path: string): string => readFileSync(new URL(`../../../deploy/${path}`, import.meta.url), 'utf8');

const dashboard = JSON.parse(textOf('grafana/partition-load.json')) as {
  panels: { title: string; targets?: { expr: string }[] }[];
};
const rules = parse(textOf('prometheus/rules.yaml')) as { groups: { rules: { alert: string; expr: string }[] }[] };
const adapter = parse(textOf('kubernetes/prometheus-adapter.yaml')) as { rules: { custom: { seriesQuery: string }[] } };
const asked: readonly (readonly [string, string])[] = [
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
  ...rules.groups.flatMap((group) => group.rules.map(({ alert, expr }) => [alert, expr] as const)),
  ...adapter.rules.custom.map(({ seriesQuery }) => ['autoscaler', seriesQuery] as const),
];

const metricsIn = (expr: string): string[] => [...new Set(expr.match(/\b(?:milliard|process|nodejs)_\w+/g))];

// Prometheus' and Kubernetes' own.
const added = ['job', 'instance', 'namespace', 'pod'];

/** The labels that an expression selects or groups by. */
function labelsIn(expr: string): string[] {
  const selected = [...expr.matchAll(/\{([^}]*)\}/g)].flatMap(([, text = '']) =>
    [...text.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label),
  );
  const grouped = [...expr.matchAll(/\bby\s*\(([^)]*)\)/g)].flatMap(([, text = '']) =>
    text.split(',').map((l) => l.trim()),
  );
  return [...new Set([...selected, ...grouped])].filter((label) => !added.includes(label));
}

/** Names of the samples of a metric (a histogram has three) and the labels that were seen. */
async function exported(): Promise<{ names: Set<string>; labels: Map<string, Set<string>> }> {
  const api = await openTestApi();
  const placed = await api.server.fastify.inject({
    method: 'POST',
    url: '/api/v1/orders',
    payload: { customer_id: 'CUST789', items: [{ sku: 'SHOE001', quantity: 1, price: 2999 }] },
  });
  expect(placed.statusCode).toBe(201);
  const { body } = await api.server.fastify.inject({ url: '/metrics' });
  const names = new Set<string>();
  for (const [, name = '', type] of body.matchAll(/^# TYPE (\w+) (\w+)$/gm)) {
    if (type === 'histogram' || type === 'summary') for (const end of ['_sum', '_count']) names.add(name + end);
    names.add(type === 'histogram' ? `${name}_bucket` : name);
  }
  const labels = new Map<string, Set<string>>();
  for (const [, name = '', text = ''] of body.matchAll(/^(\w+)(?:\{(.*)\})? /gm)) {
    const seen = labels.get(name) ?? new Set<string>();
    for (const [, label = ''] of text.matchAll(/(\w+)="/g)) seen.add(label);
    labels.set(name, seen);
  }
  return { names, labels };
}

test('every metric of the dashboard, the alarm rules and the autoscaler is one that a server exports, with these labels', async () => {
  const { names, labels } = await exported();
  const missing: string[] = [];
  for (const [where, expr] of asked) {
    const metrics = metricsIn(expr);
    if (metrics.length === 0 && !/\bup\b/.test(expr)) missing.push(`${where}: names no metric`);
    for (const metric of metrics) {
      const seen = labels.get(metric);
      if (!names.has(metric)) missing.push(`${where}: ${metric}`);
      // Without a sample nothing is known of its labels: those of a cluster on one server.
      else if (seen !== undefined)
        missing.push(
          ...labelsIn(expr)
            .filter((l) => !seen.has(l))
            .map((l) => `${where}: ${metric}{${l}}`),
        );
    }
  }
  expect(missing).toEqual([]);
  expect(asked.length).toBeGreaterThan(40);
});
