/**
 * For the descriptions of reads that ask several shards.
 * @param what that the answer is about: `several customers`
 */
export const mayBeTorn = (what: string): string =>
  `On Citus, whose shards share no snapshot, an answer about ${what} may hold only a part of what one transaction is just writing.`;
