import type { Session } from './database.ts';

/** Runs `work` in a transaction of a session that somebody holds for longer; nothing is tried again. */
export async function inTransaction<T>(session: Session, work: () => Promise<T>): Promise<T> {
  await session.script('begin');
  try {
    const result = await work();
    await session.script('commit');
    return result;
  } catch (error) {
    await session.script('rollback').catch(() => {});
    throw error;
  }
}
