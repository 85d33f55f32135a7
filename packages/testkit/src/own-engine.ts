import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { until } from './until.ts';

const startLimitMs = 60_000;
const stopLimitMs = 30_000;

export interface OwnEngineOptions {
  /** Containers get users of their own on the host. */
  readonly userNamespaces?: boolean;
  /** Further OCI runtimes, by name. */
  readonly runtimes?: Readonly<Record<string, { readonly path: string; readonly runtimeArgs: readonly string[] }>>;
  /** Size of the disk that everything of the engine is on; as large as the directory of temporary files by default. */
  readonly diskMegabytes?: number;
}

/** An engine that belongs to one test file alone, so that it may be ended, frozen and filled up. */
export interface OwnEngine {
  readonly endpoint: string;
  /** Ends the engine at once, as a crash does; what it had started goes on. */
  kill(): Promise<void>;
  /** Ends the engine as an administrator does; it ends its containers. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** The engine takes connections and says nothing. */
  freeze(): void;
  thaw(): void;
  /** Where its images, containers and volumes are. */
  readonly dataDirectory: string;
  close(): Promise<void>;
}

/** Tells why no further engine can be started here; undefined when one can. */
export function whyNoOwnEngine(): string | undefined {
  if (process.platform !== 'linux') return 'a second Docker Engine needs Linux';
  if (process.getuid?.() !== 0) return 'a second Docker Engine needs root';
  return dockerd() === undefined ? 'dockerd is not installed on this machine' : undefined;
}

/**
 * Starts a second engine beside whatever runs: own data, own socket, own network namespace, since an engine without a bridge
 * takes `docker0` away from the one that runs already.
 */
export async function startOwnEngine(options: OwnEngineOptions = {}): Promise<OwnEngine> {
  const directory = mkdtempSync(join(tmpdir(), 'oct-own-'));
  const dataDirectory = join(directory, 'data');
  mkdirSync(dataDirectory);
  // An engine with user namespaces looks at its own directories as somebody else.
  chmodSync(directory, 0o711);
  if (options.diskMegabytes !== undefined) mountDisk(dataDirectory, options.diskMegabytes);
  const socket = join(directory, 'e.sock');
  const config = join(directory, 'daemon.json');
  writeFileSync(config, JSON.stringify({ runtimes: options.runtimes ?? {} }));
  const flags = [
    `--config-file=${config}`,
    `--data-root=${dataDirectory}`,
    `--exec-root=${join(directory, 'x')}`,
    `--pidfile=${join(directory, 'pid')}`,
    `--host=unix://${socket}`,
    '--bridge=none',
    '--iptables=false',
    '--ip6tables=false',
    '--ip-forward=false',
    ...(options.userNamespaces === true ? ['--userns-remap=default'] : []),
  ];
  let running: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    running = await launch(flags, socket, join(directory, 'log'));
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (running) await endProcess(running, signal);
    running = undefined;
  };
  await start();
  return {
    endpoint: `unix://${socket}`,
    dataDirectory,
    start,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    freeze: () => void running?.kill('SIGSTOP'),
    thaw: () => void running?.kill('SIGCONT'),
    close: async () => {
      running?.kill('SIGCONT');
      await end('SIGTERM');
      await endContainerd(containerdPidFile(directory));
      unmountBelow(directory);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function dockerd(): string | undefined {
  return ['/usr/sbin/dockerd', '/usr/bin/dockerd', '/usr/local/bin/dockerd'].find((path) => existsSync(path));
}

async function launch(flags: readonly string[], socket: string, log: string): Promise<ChildProcess> {
  const program = dockerd();
  if (program === undefined) throw new Error('dockerd is not installed');
  rmSync(socket, { force: true });
  // What a killed engine left may name a process of somebody else by now, at which the next one would wait in vain.
  for (const pidFile of [join(dirname(socket), 'pid'), containerdPidFile(dirname(socket))]) {
    if (!commandOf(readPid(pidFile)).includes('containerd')) rmSync(pidFile, { force: true });
  }
  const shell = ['-c', 'exec "$@" >>"$LOG" 2>&1', 'sh', 'unshare', '--net', '--', program, ...flags];
  const child = spawn('/bin/sh', shell, {
    cwd: '/',
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, LOG: log },
  });
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  await until(async () => ended() || (await answers(socket)), startLimitMs);
  if (ended()) throw new Error(`dockerd ended: ${readFileSync(log, 'utf8').slice(-2_000)}`);
  return child;
}

async function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    request({ socketPath, path: '/_ping', timeout: 2_000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    })
      .on('error', () => resolve(false))
      .end();
  });
}

async function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const exited = new Promise<void>((resolve) => void child.once('exit', () => resolve()));
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), stopLimitMs);
  await exited;
  clearTimeout(timer);
}

/** A killed engine leaves its containerd, and that its containers. */
async function endContainerd(pidFile: string): Promise<void> {
  const pid = readPid(pidFile);
  const isOurs = (): boolean => commandOf(pid).includes('containerd');
  if (!isOurs()) return;
  process.kill(pid, 'SIGTERM');
  await until(() => !isOurs(), stopLimitMs);
}

function containerdPidFile(directory: string): string {
  return join(directory, 'x/containerd/containerd.pid');
}

function readPid(file: string): number {
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

function mountDisk(directory: string, megabytes: number): void {
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'oct-own', directory]);
  if (status !== 0) throw new Error(`mount: ${String(stderr)}`);
}

/** Deepest first. */
function unmountBelow(directory: string): void {
  const points = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((point) => point.startsWith(`${directory}/`))
    .toSorted()
    .toReversed();
  for (const point of points) spawnSync('umount', ['-l', point]);
}
