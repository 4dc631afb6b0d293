import { type DestinationStream, pino } from 'pino';
import type { LogLevel } from '../config.ts';
import type { Logger } from '../core/ports.ts';

/** JSON lines for a log collector. Whatever would hold a key is left out before it is written. */
export const createLogger = (level: LogLevel, destination: DestinationStream): Logger =>
  pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      redact: { paths: ['authorization', 'headers', '*.headers', '*.authorization'], remove: true },
    },
    destination,
  );
