import { userInfo } from 'node:os';

/** Who works at this terminal, as runs and the audit log name them: `cli:alice`. */
export function cliActor(): string {
  try {
    return `cli:${userInfo().username}`;
  } catch {
    // A user without an entry in the list of users, as containers have them.
    return 'cli';
  }
}
