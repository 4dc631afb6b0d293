import { statement } from '../storage/sql.ts';

export type SampleMark = 'sample_data.begin' | 'sample_data.end';

export const insertSampleMark = statement<object, [SampleMark]>(
  'insert_sample_mark',
  `insert into audit_log (actor, action, subject, recorded_at) values ('milliard dev', $1, 'sample data', clock_timestamp())`,
  (action) => [action],
);

/** No row: the sample data was never begun. */
export const lastSampleMark = statement<{ action: SampleMark }>(
  'last_sample_mark',
  `select action from audit_log where action in ('sample_data.begin', 'sample_data.end')
    order by recorded_at desc, action desc limit 1`,
);
