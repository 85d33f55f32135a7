/*
 * node --conditions=@opencode-tools/source bench/cli-start.mjs [--rounds 20] [--json]
 *
 * What starting the built command line costs: `--version`, and `list-tasks` on a home with 100 tasks, beside `node -e 0`.
 */
import { fileURLToPath } from 'node:url';
import { benchOptions, interleave, report, run, summarise } from './lib/measure.mjs';
import { call, cleanEnvironment, withTemporaryHome } from './lib/temporary-home.mjs';

const { json, rounds } = benchOptions(20);
const bin = fileURLToPath(new URL('../apps/cli/dist/bin.cjs', import.meta.url));

await withTemporaryHome(async ({ directory, services }) => {
  for (let index = 1; index <= 100; index += 1) await services.tasks.create({ title: `Task ${index}` }, call);
  const env = cleanEnvironment({ OPENCODE_TOOLS_HOME: directory });
  const node = async (...args) => void (await run(process.execPath, args, { env, cwd: directory }));
  const contestants = {
    'node -e 0': () => node('-e', '0'),
    'opencode-tools --version': () => node(bin, '--version'),
    'opencode-tools list-tasks': () => node(bin, 'list-tasks'),
  };
  const rows = summarise(await interleave(contestants, rounds), 'node -e 0');
  report('Start of the command line, 100 tasks', rows, { json, bars: { version: 1.6, listTasks: 3 } });
});
