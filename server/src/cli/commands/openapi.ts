import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Option } from 'commander';
import { openApiDocument } from '../../http/server.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes } from '../context.ts';

/** `milliard openapi` */
export const openapiCommand = (context: CliContext) =>
  does<{ check?: boolean; write?: boolean }>(
    describedCommand('openapi', {
      description: 'Print the OpenAPI 3.1 document of the HTTP API. Needs no database.',
      examples: [
        ['milliard openapi > openapi.json', 'the document as a file'],
        ['milliard openapi --check', 'compare with the committed server/openapi.json'],
      ],
      exitCodes: [[1, '--check: the committed document is missing or another one']],
    })
      .addOption(new Option('--check', 'compare with the committed document').conflicts('write'))
      .option('--write', 'write the committed document anew'),
    context,
    async ({ output }, { check = false, write = false }) => {
      const text = `${JSON.stringify(await openApiDocument(), null, 2)}\n`;
      const file = join(context.packageDir, 'openapi.json');
      if (write) {
        await writeFile(file, text);
        output.say(`wrote ${file}`);
        await output.record({ file, written: true });
        return;
      }
      if (!check) {
        await output.write(output.json ? `${JSON.stringify(JSON.parse(text))}\n` : text);
        return;
      }
      const same = (await readFile(file, 'utf8').catch(() => null)) === text;
      output.say(
        same
          ? `${file} is up to date`
          : `${file} is not what the code says. Run \`milliard openapi --write\` and look at the changes.`,
      );
      await output.record({ file, same });
      return same ? exitCodes.done : exitCodes.failed;
    },
  );
