/**
 * Writes the generated pages of `docs/`. With `--check` it writes nothing and ends with 1 when a page is not up to date.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cliReference, errorFamiliesReference, errorPages } from './reference.ts';

const docs = new URL('../../../docs/', import.meta.url);
const pages = {
  'reference/cli.md': await cliReference(),
  'reference/errors.md': errorFamiliesReference(),
  'errors.md': errorPages(),
};

mkdirSync(new URL('reference/', docs), { recursive: true });
const stale = Object.entries(pages).filter(([name, text]) => text !== current(name));
if (process.argv.includes('--check')) {
  for (const [name] of stale) process.stderr.write(`docs/${name} is not up to date\n`);
  process.exitCode = stale.length === 0 ? 0 : 1;
} else {
  for (const [name, text] of stale) writeFileSync(new URL(name, docs), text);
}

function current(name: string): string | undefined {
  try {
    return readFileSync(new URL(name, docs), 'utf8');
  } catch {
    return undefined;
  }
}
