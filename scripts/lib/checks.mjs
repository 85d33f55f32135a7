import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, say } from './process.mjs';
import { buildAll } from './workspace.mjs';

const documentationSamples = 'scripts/check-docs.mjs';

const checks = [
  { name: 'types', run: () => pnpmExec('tsc', '-p', 'tsconfig.json') },
  { name: 'lint', run: () => pnpmExec('oxlint', '--type-aware', '--deny-warnings') },
  { name: 'format', run: () => pnpmExec('prettier', '--check', '--log-level=warn', '.') },
  { name: 'unused', run: () => pnpmExec('knip') },
  { name: 'packages', run: checkPackages },
  ...(existsSync(join(root, documentationSamples))
    ? [{ name: 'docs', run: () => run(process.execPath, [documentationSamples]) }]
    : []),
];

/**
 * Runs the static checks of the given names (all when none is given) to the end and returns 1 when any failed.
 */
export async function runChecks(names) {
  const unknown = names.filter((name) => !checks.some((check) => check.name === name));
  if (unknown.length > 0) {
    say(`Unknown check: ${unknown.join(', ')}. Checks: ${checks.map((check) => check.name).join(', ')}`);
    return 2;
  }
  const failed = [];
  for (const check of checks.filter(({ name }) => names.length === 0 || names.includes(name))) {
    const startedAt = performance.now();
    const ok = await succeeds(check);
    say(`${ok ? 'ok    ' : 'FAILED'} ${check.name} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)`);
    if (!ok) failed.push(check.name);
  }
  if (failed.length > 0) say(`Failed: ${failed.join(', ')}`);
  return failed.length === 0 ? 0 : 1;
}

async function succeeds(check) {
  try {
    return (await check.run()) === 0;
  } catch (error) {
    say(error.message);
    return false;
  }
}

async function checkPackages() {
  await buildAll();
  return await run(process.execPath, ['scripts/check-packages.mjs']);
}

function pnpmExec(...args) {
  return run('pnpm', ['exec', ...args]);
}
