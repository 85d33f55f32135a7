import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultEndpoint, whyNoAnswer } from './engine-endpoint.mjs';
import { root, run } from './process.mjs';

const startLimitMs = 60_000;
const stopLimitMs = 30_000;
const stateDirectory = join(root, '.state');
const stateFile = join(stateDirectory, 'engine.json');
const dockerdPidFile = '/var/run/docker.pid';
const containerdPidFile = '/var/run/docker/containerd/containerd.pid';

export const engineLog = join(stateDirectory, 'dockerd.log');

/**
 * Starts the engine and waits until it answers: the service where systemd runs, else dockerd in a session of its own. What
 * was started is kept in `.state/engine.json`, so that `stopEngine` ends that and nothing else.
 *
 * @param installedNow whether the engine was installed by this run; one that its package has already started is then ours
 * @returns `true` when the engine that answers is ours
 * @throws when nothing answers within 60 s or dockerd ends
 */
export async function startEngine(dockerd, { installedNow }) {
  mkdirSync(stateDirectory, { recursive: true });
  if (existsSync('/run/systemd/system')) return await startService();
  if (runningEngine() !== undefined) return await adoptEngine(installedNow);
  return await spawnEngine(dockerd);
}

async function startService() {
  const code = await run('systemctl', ['start', 'docker.service']);
  if (code !== 0 || !(await answersWithin(startLimitMs))) throw new Error('systemctl start docker.service failed.');
  writeState({ service: 'docker.service' });
  return true;
}

// Either the package has started it, or another process is starting one at this moment: one engine per machine.
async function adoptEngine(isOurs) {
  if (!(await answersWithin(startLimitMs)))
    throw new Error(`dockerd runs but does not answer (pid ${runningEngine()}).`);
  if (isOurs) writeState({ dockerd: identity(runningEngine()), containerd: identity(readPid(containerdPidFile)) });
  return isOurs;
}

async function spawnEngine(dockerd) {
  rmSync(dockerdPidFile, { force: true });
  if (commandOf(readPid(containerdPidFile)) !== 'containerd') rmSync(containerdPidFile, { force: true });
  const log = openSync(engineLog, 'w');
  const child = spawn(dockerd, [], { cwd: '/', detached: true, stdio: ['ignore', log, log] });
  child.unref();
  let ended = false;
  child.on('exit', () => (ended = true));
  child.on('error', () => (ended = true));
  const answered = await until(async () => ended || (await answers()), startLimitMs);
  if (ended && runningEngine() !== undefined) return await adoptEngine(false);
  if (ended) throw new Error(`dockerd ended. ${logTail()}`);
  if (!answered) throw new Error(`dockerd does not answer after ${startLimitMs / 1000} s. ${logTail()}`);
  writeState({ dockerd: identity(child.pid), containerd: identity(readPid(containerdPidFile)) });
  return true;
}

/**
 * Stops the engine that `startEngine` started, and its containerd.
 *
 * @returns whether there was one
 */
export async function stopEngine() {
  const state = readState();
  if (state === undefined) return false;
  rmSync(stateFile, { force: true });
  if (state.service !== undefined) return (await run('systemctl', ['stop', 'docker.socket', state.service])) === 0;
  const running = [state.dockerd, state.containerd].filter((process) => process && isSame(process));
  for (const { pid } of running) {
    signal(pid, 'SIGTERM');
    if (!(await until(() => !isAlive(pid), stopLimitMs))) signal(pid, 'SIGKILL');
  }
  return running.length > 0;
}

async function answers() {
  return (await whyNoAnswer(defaultEndpoint)) === undefined;
}

function answersWithin(limitMs) {
  return until(answers, limitMs);
}

// After a crash the file may name a process of someone else, at which dockerd refuses to start.
function runningEngine() {
  const pid = readPid(dockerdPidFile);
  return pid !== undefined && commandOf(pid) === 'dockerd' ? pid : undefined;
}

function logTail() {
  return `The end of ${engineLog}:\n${readFileSync(engineLog, 'utf8').split('\n').slice(-15).join('\n')}`;
}

function readPid(file) {
  try {
    return Number(readFileSync(file, 'utf8').trim()) || undefined;
  } catch {
    return undefined;
  }
}

function writeState(state) {
  writeFileSync(stateFile, JSON.stringify(state));
}

function readState() {
  try {
    return JSON.parse(readFileSync(stateFile, 'utf8'));
  } catch {
    return undefined;
  }
}

// A process id alone may belong to someone else by now; with the start time (in ticks since boot) it is unique.
function identity(pid) {
  return pid === undefined ? undefined : { pid, startedAt: startTime(pid) };
}

function isSame({ pid, startedAt }) {
  return startedAt !== undefined && startTime(pid) === startedAt;
}

function startTime(pid) {
  return statFields(pid)?.[19];
}

function isAlive(pid) {
  const state = statFields(pid)?.[0];
  return state !== undefined && state !== 'Z';
}

// The command name, in parentheses, may itself hold spaces and parentheses; the fields count from after it.
function statFields(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

async function until(condition, limitMs) {
  const deadline = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return true;
}
