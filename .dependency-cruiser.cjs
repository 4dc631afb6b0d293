// The layers of the server, bottom first. A file imports from its own layer and from those before it, never from a later one.
const LAYERS = [
  ['core', '^server/src/core/'],
  ['storage', '^server/src/storage/'],
  ['jobs', '^server/src/jobs/'],
  ['domains', '^server/src/domains/'],
  ['flows', '^server/src/flows/'],
  ['app', '^server/src/(app|config)[^/]*\\.ts$'],
  ['http', '^server/src/http/'],
  ['cli', '^server/src/cli/'],
  ['main', '^server/src/main\\.ts$'],
];

const TESTS = '\\.test\\.ts$|^server/src/testing/';
// A domain file with one of these endings talks to the database or to streams; every other one is pure.
const IMPURE_DOMAIN_FILE = '-(queries|service|jobs|bulk|import|export|generate|verify|lookup|walk)\\.ts$';
const PURE_DOMAIN_FOLDER = '^server/src/domains/([^/]+)/';

const npm = (names) => `(^|/)node_modules/(@types/)?(${names})(/|$)`;

const downwardOnly = LAYERS.slice(0, -1).map(([name, path], index) => ({
  name: `layer-${name}`,
  comment: `${name} stands below what it imports here: imports run downward only.`,
  severity: 'error',
  from: { path, pathNot: TESTS },
  to: { path: LAYERS.slice(index + 1).map(([, above]) => above) },
}));

const domains = [
  {
    name: 'domains-are-apart',
    comment: 'One domain never imports another; what crosses domains is a flow.',
    severity: 'error',
    from: { path: PURE_DOMAIN_FOLDER },
    to: { path: '^server/src/domains/', pathNot: '^server/src/domains/$1/' },
  },
  {
    name: 'queries-stay-home',
    comment: 'A *-queries.ts is imported only from its own folder; others call the service beside it.',
    severity: 'error',
    from: { path: '^server/src/(|.+/)[^/]+$' },
    to: { path: '-queries\\.ts$', pathNot: '^server/src/$1[^/]+$' },
  },
  {
    name: 'pure-domain-imports-core',
    comment: 'A domain file without a suffix such as -queries or -service is pure: it imports core and its like.',
    severity: 'error',
    from: { path: PURE_DOMAIN_FOLDER, pathNot: [IMPURE_DOMAIN_FILE, TESTS] },
    to: { path: '^server/src/', pathNot: ['^server/src/core/', '^server/src/domains/$1/'] },
  },
  {
    name: 'pure-domain-stays-pure',
    comment: 'A pure domain file imports no file of its domain that talks to the database or to streams.',
    severity: 'error',
    from: { path: PURE_DOMAIN_FOLDER, pathNot: [IMPURE_DOMAIN_FILE, TESTS] },
    to: { path: `^server/src/domains/.*${IMPURE_DOMAIN_FILE}` },
  },
  {
    name: 'pure-code-does-no-io',
    comment: 'core and pure domain files take what they need as arguments.',
    severity: 'error',
    from: { path: ['^server/src/core/', PURE_DOMAIN_FOLDER], pathNot: [IMPURE_DOMAIN_FILE, TESTS] },
    to: {
      dependencyTypes: ['core'],
      path: '^(node:)?(fs|net|http|https|tls|dns|child_process|worker_threads|cluster)(/|$)',
    },
  },
];

const packages = [
  {
    name: 'fastify-only-in-http',
    severity: 'error',
    from: { path: '^server/src/', pathNot: '^server/src/http/' },
    to: { path: npm('fastify[^/]*|@fastify') },
  },
  {
    name: 'pg-only-in-storage',
    severity: 'error',
    from: { path: '^server/src/', pathNot: '^server/src/(storage|testing)/' },
    to: { path: npm('pg|pg-[^/]+|node-pg-migrate') },
  },
  {
    name: 'redis-only-in-storage',
    severity: 'error',
    from: { path: '^server/src/', pathNot: '^server/src/(storage|testing)/' },
    to: { path: npm('ioredis|lru-cache') },
  },
];

const general = [
  { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
  {
    name: 'no-tests-in-product',
    comment: 'Product code imports neither tests nor server/src/testing.',
    severity: 'error',
    from: { pathNot: [TESTS, '^vitest\\.config\\.ts$'] },
    to: { path: TESTS },
  },
  { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
];

module.exports = {
  forbidden: [...downwardOnly, ...domains, ...packages, ...general],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|coverage)/' },
    // Types count too: a layer that knows a type of a higher layer is not below it.
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      extensions: ['.ts', '.mjs', '.js', '.cjs'],
      conditionNames: ['import', 'node', 'types', 'default'],
    },
  },
};
