/** What a server must be to be taken, as libpq understands `target_session_attrs`. */
export const sessionTargets = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const;
export type SessionTarget = (typeof sessionTargets)[number];

export interface HostUrls {
  /** A connection string a host, in the order to try them. One, as it came, when there is nothing to choose. */
  readonly urls: readonly string[];
  readonly target: SessionTarget;
}

const urlForm = /^(postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)([^/?#]*)([^?#]*)(?:\?([^#]*))?$/;

/**
 * Takes `postgres://h1:5432,h2:5433/db?target_session_attrs=read-write` apart, which the driver does not understand. A host without
 * a port has 5432; one port for all stands behind the last. An unknown target counts as `any`.
 */
export function hostUrls(url: string): HostUrls {
  const match = urlForm.exec(url);
  const [, before = '', authority = '', path = '', query] = match ?? [];
  const parameters = new URLSearchParams(query ?? '');
  const asked = parameters.get('target_session_attrs');
  const target = sessionTargets.find((name) => name === asked) ?? 'any';
  if (match === null || (!authority.includes(',') && asked === null)) return { urls: [url], target };
  parameters.delete('target_session_attrs');
  const rest = `${path}${parameters.size > 0 ? `?${parameters}` : ''}`;
  const hosts = authority.split(',').filter((host) => host !== '' || !authority.includes(','));
  return { urls: hosts.map((host) => `${before}${host}${rest}`), target };
}

/** What a server says of itself when a connection opens, without being asked. */
export interface SessionFacts {
  readonly isStandby: boolean;
  readonly isReadOnly: boolean;
}

/** Whether a server will do. `first` = on the first of two rounds over the hosts, where a preference counts. */
export function suits(target: SessionTarget, { isStandby, isReadOnly }: SessionFacts, first: boolean): boolean {
  switch (target) {
    case 'any':
      return true;
    case 'read-write':
      return !isStandby && !isReadOnly;
    case 'read-only':
      return isStandby || isReadOnly;
    case 'primary':
      return !isStandby;
    case 'standby':
      return isStandby;
    case 'prefer-standby':
      return isStandby || !first;
  }
}

/** The hosts of a connection string, and which of them was found good last. */
export interface Hosts {
  readonly target: SessionTarget;
  /** More than one host, or a target: a new connection has to be looked at. */
  readonly isChoice: boolean;
  /** The connection string of the one to try first. */
  current(): string;
  /** In the order to try them: the current one, then the others as they stand. */
  inOrder(): readonly string[];
  prefer(url: string): void;
}

export function createHosts(url: string): Hosts {
  const { urls, target } = hostUrls(url);
  let current = urls[0] ?? url;
  return {
    target,
    isChoice: urls.length > 1 || target !== 'any',
    current: () => current,
    inOrder: () => [current, ...urls.filter((other) => other !== current)],
    prefer(good) {
      current = good;
    },
  };
}
