import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openHome } from '@opencode-tools/toolkit';
import { run } from './measure.mjs';

const actor = { kind: 'user', id: 'bench', agent: null, model: null, session: null, onBehalfOf: null };

/** Who the benchmarks act as. */
export const call = { actor };

/** The environment of a benchmark: without the settings of whoever runs it. */
export function cleanEnvironment(more = {}) {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('OPENCODE_TOOLS_') || keeps.has(name));
  return { ...Object.fromEntries(kept), ...more };
}

const keeps = new Set(['OPENCODE_TOOLS_DEFAULT_IMAGE']);

/** What the last checkpoints of deleted tasks keep. */
async function removeLayers(homeId) {
  const kept = [
    '--filter',
    `label=io.opencode-tools.home=${homeId}`,
    '--filter',
    'label=io.opencode-tools.kind=layers',
  ];
  const names = (await run('docker', ['volume', 'ls', '-q', ...kept])).split('\n').filter((name) => name !== '');
  if (names.length > 0) await run('docker', ['volume', 'rm', ...names]);
}

/**
 * Opens a home in a new directory for the time of the work; then deletes its tasks and removes what is left of it on the engine and the directory.
 *
 * @param more environment variables, such as `OPENCODE_TOOLS_POOL_SIZE`
 */
export async function withTemporaryHome(work, more = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'opencode-tools-bench-'));
  let ports;
  const decorate = (given) => (ports = given);
  const home = await openHome({ home: directory, cwd: directory, environment: cleanEnvironment(more), decorate });
  const { services } = home;
  try {
    return await work({ directory, services, ports });
  } finally {
    const { items } = await services.tasks.list({}, { limit: 500 });
    const { length } = await ports.tasks.listSandboxes();
    for (const { id } of items) await services.tasks.delete(id, { force: true }, call);
    await home.close();
    if (length > 0) await removeLayers(home.homeId);
    await rm(directory, { recursive: true, force: true });
  }
}
