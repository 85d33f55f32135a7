/*
 * node scripts/ensure-engine.mjs [--json]
 *
 * Sees to it that a Docker Engine answers. As root on Debian or Ubuntu it installs the distribution's engine and starts it
 * when none does, unless OPENCODE_TOOLS_NO_ENGINE_SETUP=1; anywhere else it prints what to do and exits 6.
 */
import { pathToFileURL } from 'node:url';
import { aptInstall, findCommand, mayInstall, missingImageTools } from './lib/debian.mjs';
import { candidateEndpoints, defaultEndpoint, whyNoAnswer } from './lib/engine-endpoint.mjs';
import { engineInstructions, imageToolInstructions } from './lib/engine-instructions.mjs';
import { engineLog, startEngine } from './lib/engine-process.mjs';
import { say } from './lib/process.mjs';

/**
 * Returns the endpoint of an engine that answers, and whether it was started here. Costs milliseconds and needs no
 * rights when one answers already.
 *
 * @throws {EngineUnavailable} with instructions for this platform
 */
export async function ensureEngine() {
  const { endpoint, refusals } = await findEngine();
  const canSetUp = mayInstall();
  if (endpoint !== undefined) {
    await ensureImageTools(canSetUp);
    return { endpoint, started: false };
  }
  const refused = refusals.map(({ from, url, reason }) => `${from} (${url}): ${reason}`);
  if (!canSetUp || refusals[0].from !== defaultEndpoint.from) throw new EngineUnavailable(engineInstructions(refusals));
  say(`No Docker Engine answers: ${refused.join('; ')}.`);
  say("Setting one up: the distribution's docker.io, started as dockerd. To refuse: OPENCODE_TOOLS_NO_ENGINE_SETUP=1");
  return { endpoint: defaultEndpoint, started: await setUpEngine() };
}

/** Installs gVisor where that is possible, for the tests that run under it; says what to do anywhere else. */
export async function ensureGvisor() {
  if (findCommand('runsc') !== undefined) return;
  if (mayInstall() && (await aptInstall(['runsc'])) === 0) return;
  say(
    'gVisor (runsc) is not installed: the tests of sandboxes under it say that they do not run. Remedy: install runsc.',
  );
}

/** No engine answers and none may be set up here; the message says what to do. */
export class EngineUnavailable extends Error {
  exitCode = 6;
}

async function findEngine() {
  const refusals = [];
  for (const endpoint of candidateEndpoints()) {
    const reason = await whyNoAnswer(endpoint);
    if (reason === undefined) return { endpoint, refusals };
    refusals.push({ ...endpoint, reason });
  }
  return { endpoint: undefined, refusals };
}

async function setUpEngine() {
  const installedNow = findCommand('dockerd') === undefined;
  const packages = [...(installedNow ? ['docker.io', 'iptables'] : []), ...missingImageTools()];
  if (packages.length > 0) await aptInstall(packages);
  const dockerd = findCommand('dockerd');
  if (dockerd === undefined)
    throw new EngineUnavailable('apt-get could not install docker.io; its messages are above.');
  say(`Starting ${dockerd}; its log is ${engineLog}.`);
  return await startEngine(dockerd, { installedNow }).catch((error) => {
    throw new EngineUnavailable(error.message);
  });
}

async function ensureImageTools(canSetUp) {
  const missing = missingImageTools();
  if (missing.length === 0) return;
  if (canSetUp && (await aptInstall(missing)) === 0) return;
  say(imageToolInstructions(missing));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    const { endpoint, started } = await ensureEngine();
    if (process.argv.includes('--json'))
      process.stdout.write(`${JSON.stringify({ endpoint: endpoint.url, started })}\n`);
    else say(`A Docker Engine answers at ${endpoint.url}${started ? ' (started now)' : ''}.`);
  } catch (error) {
    say(error.exitCode === undefined ? error.stack : error.message);
    process.exitCode = error.exitCode ?? 1;
  }
}
