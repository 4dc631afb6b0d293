import { inject } from 'vitest';

// Tests of processes have no server of their own project.
const nodeUrls: readonly string[] | undefined = inject('nodeUrls');

/** Whether the tests run on a Citus cluster: for conditions that name what a distributed engine cannot do. */
export const onCitus: boolean = nodeUrls !== undefined && nodeUrls.length > 1;
