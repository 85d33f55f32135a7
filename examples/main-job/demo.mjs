/*
 * npm run demo [-- --json]
 *
 * The main job, end to end, on a real Docker Engine. Every command of opencode-tools is a process of its own, on a fresh
 * home that is removed at the end. Ends with 0 when every claim that it prints was found to be true.
 */
import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { backAndApart, crash, ending, firstAgent, prepare, secondAgent } from './lib/chapters.mjs';
import { CommandFailed, createCommandLine } from './lib/command-line.mjs';
import { createEngine } from './lib/engine.mjs';
import { createStory } from './lib/story.mjs';

const json = process.argv.includes('--json');
const story = createStory({ title: 'One task, two agents, one crash', json });
const engine = createEngine(process.env.DOCKER_HOST || 'unix:///var/run/docker.sock');

process.exitCode = await main();

async function main() {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'opencode-tools-demo-')));
  const paths = { home: join(directory, 'home'), repository: join(directory, 'greeter') };
  try {
    await mkdir(paths.repository);
    await tell(paths);
    return finish();
  } catch (error) {
    return finish(error);
  } finally {
    await removeWhatIsLeft(directory);
  }
}

async function tell(paths) {
  const cli = createCommandLine({ bin: binary(), cwd: paths.repository, environment: environment(paths) });
  story.fact('commands', cli.timings);
  const context = { story, engine, paths, cli };
  await prepare(context);
  const first = await firstAgent(context);
  await crash({ ...context, run: first });
  const second = await secondAgent({ ...context, run: first });
  const third = await backAndApart({ ...context, run: second });
  await ending({ ...context, run: third });
}

function binary() {
  return fileURLToPath(new URL('../../apps/cli/dist/bin.cjs', import.meta.url));
}

/** The environment of every command: the fresh home, no configuration of the user, and two hooks turned on. */
function environment({ home }) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('OPENCODE_TOOLS_'));
  return {
    ...Object.fromEntries(inherited),
    XDG_CONFIG_HOME: join(home, 'no-configuration'),
    OPENCODE_TOOLS_HOME: home,
    OPENCODE_TOOLS_HOOKS_BRANCH_CREATOR: 'true',
    OPENCODE_TOOLS_HOOKS_PLAN_FILE: 'true',
  };
}

function finish(error) {
  const failure = error === undefined ? undefined : { message: error.message, check: error.check, error: error.error };
  const document = story.document(failure);
  if (json) process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
  if (error === undefined) {
    story.print(`\n${document.checks.length} checks, all true, in ${(document.totalMs / 1000).toFixed(1)} s.`);
    return 0;
  }
  const told = error instanceof CommandFailed || error.check !== undefined ? error.message : error.stack;
  process.stderr.write(`\n${told}\n`);
  return error.exitCode ?? 1;
}

/** Saved root file systems are images; they belong to the home, which goes too. */
async function removeWhatIsLeft(directory) {
  const { homeId } = story.document().facts;
  if (homeId !== undefined) await engine.removeAll(homeId).catch((error) => process.stderr.write(`${error.message}\n`));
  await rm(directory, { recursive: true, force: true });
}
