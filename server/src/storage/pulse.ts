import { Socket } from 'node:net';
import type pg from 'pg';

export interface PulseOptions {
  /** Opens the connection that is asked for signs of life, on this socket, without a time limit of its own. */
  readonly connect: (openSocket: () => Socket) => Promise<pg.Client>;
  /** How long an open connection may leave a question unanswered, in ms. */
  readonly silenceMs: number;
  /** How long a new connection may take, in ms. */
  readonly connectTimeoutMs: number;
  /** Told when the database falls silent, and when it answers again. */
  readonly onChange?: (answers: boolean) => void;
}

/**
 * Tells a database that is hung (its processes stopped, a network that swallows packets) from one that works long at a statement.
 * While somebody waits, a connection of its own asks for a sign of life four times a second. When none comes, the sockets handed
 * out here are destroyed, and new ones as soon as they are opened: who waits sees a lost or refused connection at once, and what
 * is right then (run again, commit_unknown, 503) is decided where lost connections are. Until an answer comes, it keeps asking.
 */
export interface Pulse {
  /** The socket of a connection that shall end when the database falls silent: `stream` in the driver's configuration. */
  readonly openSocket: () => Socket;
  /** Runs work that waits for the database. */
  during<T>(work: () => Promise<T>): Promise<T>;
  close(): void;
}

const turnMs = 250;

export function createPulse(options: PulseOptions): Pulse {
  const sockets = createSockets();
  const probe = createProbe(options, (answers) => {
    if (answers) sockets.allow();
    else sockets.destroyAll();
    if (answers !== isAnswering) options.onChange?.(answers);
    isAnswering = answers;
  });
  let isAnswering = true;
  let waiting = 0;
  let timer: NodeJS.Timeout | null = null;

  const turn = (): void => {
    if (probe.isAsking() || waiting > 0 || !isAnswering) {
      probe.turn();
    } else if (timer !== null) {
      clearInterval(timer);
      timer = null;
    }
  };
  // Now, while the database is likely to be there: an open connection tells silence sooner than one that is still to be made.
  probe.turn();

  return {
    openSocket: sockets.open,
    async during(work) {
      waiting++;
      timer ??= setInterval(turn, turnMs).unref();
      try {
        return await work();
      } finally {
        waiting--;
      }
    },
    close() {
      if (timer !== null) clearInterval(timer);
      probe.close();
    },
  };
}

/** Asks over a connection of its own and judges the silence. */
interface Probe {
  isAsking(): boolean;
  /** Asks; while an answer is due, counts the turns it has been due for. */
  turn(): void;
  close(): void;
}

function createProbe(
  { connect, silenceMs, connectTimeoutMs }: PulseOptions,
  onJudged: (answers: boolean) => void,
): Probe {
  let line: { readonly socket: Socket; readonly client: Promise<pg.Client> } | null = null;
  // Turns of the event loop, not time by the clock: a process that was itself held up has answers to read first.
  let question: { turnsLeft: number } | null = null;

  const open = () => {
    // It never keeps the process from ending.
    const socket = new Socket().unref();
    return { socket, client: connect(() => socket) };
  };
  const ask = async (): Promise<void> => {
    const mine = { turnsLeft: Math.ceil((line === null ? connectTimeoutMs : silenceMs) / turnMs) };
    question = mine;
    line ??= open();
    const isAnswered = await line.client
      .then((client) => client.query('select 1'))
      .then(
        () => true,
        () => false,
      );
    if (question !== mine) return;
    question = null;
    if (!isAnswered) line = null;
    // A refusal is an answer too: whoever asks now is refused as quickly.
    onJudged(true);
  };
  return {
    isAsking: () => question !== null,
    turn() {
      if (question === null) return void ask();
      if (--question.turnsLeft > 0) return;
      question = null;
      line?.socket.destroy();
      line = null;
      onJudged(false);
    },
    close() {
      question = null;
      line?.client.then((client) => client.end()).catch(() => {});
    },
  };
}

/** Sockets that can all be destroyed at once, and refused from then on. */
function createSockets() {
  const open = new Set<Socket>();
  let areRefused = false;
  return {
    open(): Socket {
      const socket = new Socket();
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      // Not before the driver has begun to connect and to listen.
      if (areRefused) setImmediate(() => areRefused && socket.destroy(noAnswer()));
      return socket;
    },
    allow(): void {
      areRefused = false;
    },
    destroyAll(): void {
      areRefused = true;
      for (const socket of open) socket.destroy(noAnswer());
    },
  };
}

const noAnswer = (): Error =>
  Object.assign(new Error('the database gave no sign of life: its connections were given up'), { code: 'ETIMEDOUT' });
