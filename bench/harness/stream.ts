import { get } from 'node:http';

/** Reads a stream of NDJSON to its end. @returns its lines */
export const streamed = (url: string): Promise<{ readonly rows: number; readonly seconds: number }> =>
  new Promise((resolve, reject) => {
    const startedMs = performance.now();
    get(url, { headers: { accept: 'application/x-ndjson' } }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`${url}: ${answer.statusCode}`));
      let rows = 0;
      answer.on('data', (chunk: Buffer) => {
        for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) rows++;
      });
      answer.on('error', reject);
      answer.on('end', () => resolve({ rows, seconds: (performance.now() - startedMs) / 1_000 }));
    }).on('error', reject);
  });
