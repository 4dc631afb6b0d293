// `npm run bench -- orders [--scale small|full] [--json]`: installs and builds what is missing, then runs bench/main.ts.
import { bootstrap } from './bootstrap.mjs';
import { fail, run } from './steps.mjs';

await bootstrap().catch(fail);
const { code } = await run(process.execPath, ['--import', 'tsx', 'bench/main.ts', ...process.argv.slice(2)]);
process.exit(code);
