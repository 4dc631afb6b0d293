import { randomBytes } from 'node:crypto';
import type { Channel } from './notify-channel.ts';

/** Messages to oneself. */
export interface Echoes {
  /** `heard`: it came back; `unsent`: the database does not take it now; `lost`: it was sent and did not come back. Never throws. */
  send(): Promise<'heard' | 'unsent' | 'lost'>;
  /** An echo came. */
  heard(echo: string): void;
  /** None will come any more. */
  giveUp(): void;
}

/** How long an echo may take behind its sending. */
const patienceMs = 500;

export function createEchoes(channel: Pick<Channel, 'send'>): Echoes {
  const origin = randomBytes(8).toString('hex');
  const waiting = new Map<string, (isHeard: boolean) => void>();
  let number = 0;
  return {
    async send() {
      const echo = `${origin}:${++number}`;
      const answer = new Promise<boolean>((resolve) => waiting.set(echo, resolve));
      let timer: NodeJS.Timeout | undefined;
      try {
        await channel.send(echo);
        timer = setTimeout(() => waiting.get(echo)?.(false), patienceMs).unref();
        return (await answer) ? 'heard' : 'lost';
      } catch {
        return 'unsent';
      } finally {
        clearTimeout(timer);
        waiting.delete(echo);
      }
    },
    heard: (echo) => waiting.get(echo)?.(true),
    giveUp() {
      for (const resolve of waiting.values()) resolve(false);
    },
  };
}
