import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const deploy = join(root, 'deploy');
export const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');

export interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string; readonly target: string };
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly volumes?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly networks?: readonly string[] | Readonly<Record<string, { readonly ipv4_address?: string } | null>>;
  readonly extra_hosts?: readonly string[];
  readonly ports?: readonly string[];
  readonly profiles?: readonly string[];
  readonly [key: string]: unknown;
}

export interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks?: Readonly<Record<string, { readonly internal?: boolean } | null>>;
  readonly volumes?: Readonly<Record<string, unknown>>;
}

/** What compose makes of `${NAME}`, `${NAME:-default}` and `${NAME:?message}`. @throws Error with the message */
function interpolate(text: string, environment: Readonly<Record<string, string>> = {}): string {
  return text.replace(/\$\{[^}]*\}/g, (variable) => {
    const [, name = '', kind, rest = ''] = /^\$\{(\w+)(?::([-?])(.*))?\}$/s.exec(variable) ?? [];
    const value = environment[name] ?? '';
    if (value !== '' || kind === undefined) return value;
    if (kind === '?') throw new Error(`${name}: ${rest}`);
    return rest;
  });
}

/** What has no default: any text must do. */
export const given = { POSTGRES_PASSWORD: 'a/b@c', GRAFANA_PASSWORD: 'd:e f' };
/** A Compose file as Compose reads it. @throws Error when a variable without a default is missing */
export const composeOf = (file: string, environment: Readonly<Record<string, string>> = given): Compose =>
  parse(interpolate(textOf(`deploy/${file}`).replace(/^\s*#.*$/gm, ''), environment), { merge: true }) as Compose;
