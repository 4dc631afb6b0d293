export interface ProblemType {
  readonly status: number;
  readonly title: string;
  /** What happened and what to do, for GET /problems/{code}. */
  readonly help: string;
  /** The same request may succeed when it is sent again after so long. */
  readonly retryAfterSeconds?: number;
  /** Details of such errors are for the log: clients get `help`. */
  readonly secret?: true;
}
