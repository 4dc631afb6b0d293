import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { configVariables, parseConfig } from '../server/src/config.ts';
import { hostUrls } from '../server/src/storage/hosts.ts';
import { composeOf, given, type Service, textOf } from './compose-file.ts';

// deploy/compose.citus.yaml and what it mounts. Its schema and references are judged by deploy.test.ts with those of all Compose files;
// that the metrics named here exist, by server/src/http/dashboard.db.test.ts.
const servers = ['server-1', 'server-2', 'server-3'];
const nodes = ['coordinator', 'worker-1', 'worker-2'];
const { services, networks } = composeOf('compose.citus.yaml');
const serviceOf = (name: string): Service => {
  const service = services[name];
  if (service === undefined) throw new Error(`no service ${name}`);
  return service;
};

test('every service is there', () => {
  const others = ['nginx', 'join', 'migrate', 'cli', 'redis', 'prometheus', 'grafana'];
  expect(Object.keys(services).sort()).toEqual([...servers, ...nodes, ...others].sort());
  // Every image by a tag of its own that does not move on to another version.
  for (const { image } of Object.values(services)) expect(image).toMatch(/^[a-z/]+:(local|v?\d+\.\d+)/);
  expect(new Set([...nodes, 'join'].map((name) => serviceOf(name).image)).size).toBe(1);
});

test('no container writes but where it must, has a privilege, is without a limit or stays down; all that stay up are watched', () => {
  for (const [name, service] of Object.entries(services)) {
    expect([name, service]).toEqual([
      name,
      expect.objectContaining({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        pids_limit: expect.any(Number),
        mem_limit: expect.stringMatching(/^\d+[mg]$/),
        tmpfs: expect.arrayContaining([expect.stringMatching(/:size=\d+m/)]),
      }),
    ]);
    expect(service).not.toHaveProperty('privileged');
    const isOurs = service.image.startsWith('milliard:');
    // The image of Milliard says by itself that it is not root.
    if (!isOurs) expect([name, service['user']]).toEqual([name, expect.stringMatching(/^[1-9]\d*:\d+$/)]);
    const ends = ['join', 'migrate', 'cli'].includes(name);
    expect([name, service['restart']]).toEqual([name, ends ? 'no' : 'unless-stopped']);
    expect([name, ends || isOurs || service['healthcheck'] !== undefined]).toEqual([name, true]);
    expect([name, service.ports !== undefined]).toEqual([name, name === 'nginx' || name === 'grafana']);
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
  }
  expect(networks?.['inside']?.internal).toBe(true);
});

test('no secret stands in a file: each is asked for, and any characters reach those who need it', () => {
  for (const name of ['POSTGRES_PASSWORD', 'GRAFANA_PASSWORD'] as const)
    expect(() => composeOf('compose.citus.yaml', { ...given, [name]: '' })).toThrow(
      `${name}: write it into deploy/.env, see deploy/.env.example`,
    );
  for (const name of [...nodes, ...servers, 'migrate', 'join', 'cli'])
    expect([name, serviceOf(name).environment?.['PGPASSWORD']]).toEqual([name, given.POSTGRES_PASSWORD]);
  expect(serviceOf('grafana').environment?.['GF_SECURITY_ADMIN_PASSWORD']).toBe(given.GRAFANA_PASSWORD);
  const example = textOf('deploy/.env.example');
  for (const [, name] of textOf('deploy/compose.citus.yaml').matchAll(/\$\{(\w+)/g))
    expect(example).toMatch(new RegExp(`^#?${name}=`, 'm'));
});

test('every server may reach every node, and its settings are such as it takes', () => {
  for (const name of [...servers, 'migrate', 'cli']) {
    const environment = serviceOf(name).environment ?? {};
    const unknown = Object.keys(environment).filter((key) => key !== 'PGPASSWORD' && !(key in configVariables));
    expect([name, unknown]).toEqual([name, []]);
    const texts = Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, String(value)]));
    const { database, redisUrl, http } = parseConfig(texts);
    expect({ redisUrl, trusted: http.trustProxy }).toEqual({
      redisUrl: 'redis://redis:6379',
      trusted: ['172.30.82.10'],
    });
    const { urls, target } = hostUrls(database.url ?? '');
    expect(target).toBe('read-write');
    expect(urls.map((url) => new URL(url).hostname)).toEqual(nodes);
    expect(new Set(urls.map((url) => new URL(url).pathname))).toEqual(new Set(['/milliard']));
  }
});

test('the nodes have the settings that Citus needs, join one cluster, and only then the schema is made', () => {
  for (const name of nodes) {
    const settings = (serviceOf(name)['command'] as string[]).filter((word) => word.includes('='));
    const of = (setting: string) => settings.find((word) => word.startsWith(`${setting}=`))?.split('=')[1];
    expect(of('wal_level')).toBe('logical');
    expect(Number(of('max_prepared_transactions'))).toBeGreaterThanOrEqual(Number(of('max_connections')));
    expect(Number(of('max_replication_slots'))).toBeGreaterThanOrEqual(20);
    expect(of('citus.node_connection_timeout')).toBe('2s');
    expect(serviceOf(name).environment).toMatchObject({ POSTGRES_USER: 'milliard', POSTGRES_DB: 'milliard' });
  }
  const join = textOf('deploy/citus-join.sql');
  expect(join).toContain(`citus_set_coordinator_host('coordinator', 5432)`);
  for (const name of nodes.slice(1)) expect(join).toContain(`citus_add_node('${name}', 5432)`);
  expect(Object.keys(serviceOf('join').depends_on ?? {}).sort()).toEqual(nodes);
  expect(Object.keys(serviceOf('migrate').depends_on ?? {})).toEqual(['join']);
  for (const name of servers) expect(serviceOf(name).depends_on).toHaveProperty('migrate');
});

test('nginx knows the three servers by the addresses they have, and its configuration is that of two with one more', () => {
  for (const environment of [given, { ...given, CITUS_SUBNET: '10.9.8' }]) {
    const found = composeOf('compose.citus.yaml', environment).services;
    const addressOf = (name: string): string => {
      const joined = found[name]?.networks as Record<string, { ipv4_address?: string } | null> | undefined;
      return joined?.['inside']?.ipv4_address ?? '';
    };
    expect(found['nginx']?.extra_hosts).toEqual(servers.map((name) => `${name}:${addressOf(name)}`));
    expect(found['server-1']?.environment?.['MILLIARD_TRUST_PROXY']).toBe(addressOf('nginx'));
    expect(new Set(['nginx', ...servers].map(addressOf)).size).toBe(4);
  }
  const withoutComments = (file: string) => textOf(file).replace(/^#.*\n/gm, '');
  const third = /^ +server server-3:8000 .*\n/gm;
  const text = withoutComments('deploy/nginx.citus.conf');
  expect(text.match(third)).toHaveLength(3);
  expect(text.replace(third, '').replace('proxy_next_upstream_tries 6;', 'proxy_next_upstream_tries 4;')).toBe(
    withoutComments('deploy/nginx.conf'),
  );
});

interface Prometheus {
  readonly rule_files: readonly string[];
  readonly scrape_configs: readonly {
    readonly job_name: string;
    readonly static_configs: readonly { readonly targets: readonly string[] }[];
  }[];
}
interface Rules {
  readonly groups: readonly {
    readonly name: string;
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly for?: string;
      readonly labels: { readonly severity: string };
      readonly annotations: { readonly summary: string };
    }[];
  }[];
}

const mounted = (name: string, inside: string): string => {
  const mount = (serviceOf(name).volumes ?? []).find((volume) => volume.split(':')[1] === inside);
  if (mount === undefined) throw new Error(`${name} has no ${inside}`);
  return textOf(`deploy/${mount.split(':')[0]}`);
};

test('Prometheus asks every server by itself and has the alarm rules', () => {
  const flag = (serviceOf('prometheus')['command'] as string[]).find((word) => word.startsWith('--config.file='));
  const { rule_files, scrape_configs } = parse(mounted('prometheus', flag?.split('=')[1] ?? '')) as Prometheus;
  const targets = scrape_configs.find(({ job_name }) => job_name === 'milliard')?.static_configs[0]?.targets;
  expect(targets).toEqual(servers.map((name) => `${name}:8000`));
  expect(rule_files).toHaveLength(1);
  const { groups } = parse(mounted('prometheus', rule_files[0] ?? '')) as Rules;
  const rules = groups.flatMap((group) => group.rules);
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  for (const { alert, expr, labels, annotations, ...rest } of rules) {
    expect(alert).toMatch(/^Milliard[A-Z]\w+$/);
    expect([alert, expr.trim(), annotations.summary]).not.toContain('');
    expect([alert, labels.severity]).toEqual([alert, expect.stringMatching(/^(page|warn)$/)]);
    expect(rest.for ?? '1s').toMatch(/^\d+[smh]$/);
    // Without a comparison an alarm never ends.
    expect([alert, expr]).toEqual([alert, expect.stringMatching(/(==|[<>]) *[\d.]+\s*$/)]);
  }
});

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
}

test('Grafana finds its data source and its dashboard, and the dashboard is whole', () => {
  const source = parse(mounted('grafana', '/etc/grafana/provisioning/datasources/prometheus.yaml')) as {
    datasources: { uid: string; type: string; url: string }[];
  };
  expect(source.datasources).toEqual([
    expect.objectContaining({ uid: 'prometheus', type: 'prometheus', url: 'http://prometheus:9090' }),
  ]);
  const provider = parse(mounted('grafana', '/etc/grafana/provisioning/dashboards/milliard.yaml')) as {
    providers: { options: { path: string } }[];
  };
  const file = `${provider.providers[0]?.options.path}/partition-load.json`;
  expect(serviceOf('grafana').environment?.['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH']).toBe(file);
  const dashboard = JSON.parse(mounted('grafana', file)) as { uid: string; title: string; panels: Panel[] };
  expect(dashboard.uid).toMatch(/^[\w-]{1,40}$/);
  const sources = [...JSON.stringify(dashboard).matchAll(/"datasource":\{[^}]*"uid":"([^"]*)"/g)].map(([, uid]) => uid);
  expect(new Set(sources)).toEqual(new Set(['prometheus']));
  const { panels } = dashboard;
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  for (const { type, title, datasource, targets = [] } of panels.filter((panel) => panel.type !== 'row')) {
    expect(['timeseries', 'stat', 'bargauge']).toContain(type);
    expect([title, targets.length > 0, datasource?.uid]).toEqual([title, true, 'prometheus']);
    for (const target of targets) expect([title, target.datasource.uid]).toEqual([title, 'prometheus']);
  }
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)} ${y + Math.floor(i / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
  expect(Math.max(...panels.map(({ gridPos }) => gridPos.x + gridPos.w))).toBe(24);
});

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  // biome-ignore lint/suspicious/noExplicitAny: a manifest of any kind; each expectation names what it looks at.
  readonly spec: any;
}

test('the manifests of Kubernetes fit each other and the servers', () => {
  const documents = parseAllDocuments(textOf('deploy/kubernetes/milliard.yaml'));
  for (const { errors } of documents) expect(errors).toEqual([]);
  const manifests = documents.map((document) => document.toJS() as Manifest);
  const of = (apiVersion: string, kind: string): Manifest['spec'] => {
    const found = manifests.filter((manifest) => manifest.kind === kind && manifest.apiVersion === apiVersion);
    expect([kind, found.length]).toEqual([kind, 1]);
    return found[0]?.spec;
  };
  const deployment = of('apps/v1', 'Deployment');
  const pod = deployment.template.spec;
  const labels = deployment.template.metadata.labels;
  for (const selector of [
    deployment.selector.matchLabels,
    of('v1', 'Service').selector,
    of('policy/v1', 'PodDisruptionBudget').selector.matchLabels,
  ])
    expect(labels).toEqual(selector);
  expect(of('batch/v1', 'Job').template.metadata.labels).not.toEqual(labels);
  // The autoscaler's.
  expect(deployment).not.toHaveProperty('replicas');
  const scaler = of('autoscaling/v2', 'HorizontalPodAutoscaler');
  expect(scaler.scaleTargetRef).toEqual({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'milliard' });
  expect(scaler.minReplicas).toBeGreaterThan(of('policy/v1', 'PodDisruptionBudget').maxUnavailable);
  const [cpu, queue] = scaler.metrics;
  expect(cpu.resource).toMatchObject({ name: 'cpu', target: { type: 'Utilization' } });
  expect(pod.containers[0].resources.requests.cpu).toBeDefined();

  const { rules } = parse(textOf('deploy/kubernetes/prometheus-adapter.yaml')) as {
    rules: { custom: { seriesQuery: string; name: { as: string } }[] };
  };
  expect(rules.custom.map(({ name }) => name.as)).toEqual([queue.pods.metric.name]);
  expect(rules.custom[0]?.seriesQuery).toContain(`${queue.pods.metric.name}{`);

  const environment = Object.fromEntries(
    pod.containers[0].env.map(({ name, value }: { name: string; value: string }) => [name, value]),
  );
  expect(Object.keys(environment).filter((name) => !(name in configVariables))).toEqual([]);
  const { drain } = parseConfig(environment).http;
  expect(pod.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(drain.noticeMs + drain.idleMs + 10_000);
  const { periodSeconds, failureThreshold } = pod.containers[0].readinessProbe;
  expect(drain.noticeMs).toBeGreaterThan(periodSeconds * failureThreshold * 1_000);
  for (const { template } of [deployment, of('batch/v1', 'Job')]) {
    expect(template.spec.securityContext.runAsNonRoot).toBe(true);
    expect(template.spec.containers[0].securityContext).toEqual({
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    });
  }
});

test('the examples for Patroni name one cluster', () => {
  const etcd = parse(textOf('deploy/patroni/etcd.yaml')) as Record<string, string>;
  const peers = (etcd['initial-cluster'] ?? '').split(',').map((peer) => new URL(peer.split('=')[1] ?? '').hostname);
  const balancer = textOf('deploy/patroni/haproxy.cfg');
  const members = readdirSync(new URL('../deploy/patroni', import.meta.url)).filter((name) =>
    /^(coord|work)/.test(name),
  );
  const parsed = members.map((file) => parse(textOf(`deploy/patroni/${file}`)));
  expect(parsed.map(({ citus }) => citus.group).sort()).toEqual([0, 1]);
  for (const { name, scope, citus, postgresql, etcd3 } of parsed) {
    expect({ scope, database: citus.database }).toEqual({ scope: 'milliard', database: 'milliard' });
    expect(etcd3.hosts).toEqual(peers.map((host) => `${host}:2379`));
    expect(balancer).toContain(`server ${name} ${postgresql.connect_address} check`);
  }
  // All but the place is the same.
  const [coordinator, worker] = parsed.map(({ bootstrap, watchdog, tags }) => ({ bootstrap, watchdog, tags }));
  expect(coordinator).toEqual(worker);
  for (const text of members.map((file) => textOf(`deploy/patroni/${file}`)))
    expect([...text.matchAll(/password: (.*)/g)].map(([, word]) => word)).toEqual(Array(3).fill('WRITE-IT-HERE'));
});
