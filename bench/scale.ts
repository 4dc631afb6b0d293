/** How much is measured: a look within a minute or two, or the whole workload. */
export type Scale = 'small' | 'full';
