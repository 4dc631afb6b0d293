import { pageDepth, readFigures } from './orders/reads.ts';

const { figures } = await readFigures('http://127.0.0.1:8300', 4);
for (const [k, v] of Object.entries(figures)) console.log(k, v.value, v.baseline, v.ratio);
console.log(await pageDepth('http://127.0.0.1:8300'));
