import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

/**
 * Reads the options of a registry benchmark. What flushes or makes files belongs on a tmpfs or on a journaled loop mount
 * (`--scratch`), not on the root filesystem of a shared machine.
 */
export function registryOptions(defaults) {
  const options = Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: 'string' }]));
  const { values } = parseArgs({
    options: { ...options, json: { type: 'boolean' }, scratch: { type: 'string' }, only: { type: 'string' } },
  });
  const numbers = Object.entries(defaults).map(([name, value]) => [name, Number(values[name] ?? value)]);
  const only = values.only?.split(',');
  return {
    ...Object.fromEntries(numbers),
    json: values.json === true,
    scratch: values.scratch ?? tmpdir(),
    wants: (name) => only === undefined || only.includes(name),
  };
}

/** Runs the work with a new directory, which is removed afterwards. */
export async function withScratch(parent, work) {
  const directory = mkdtempSync(join(parent, 'oct-bench-'));
  // A database server that is started for the work keeps its files there too.
  process.env.TMPDIR = parent;
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
