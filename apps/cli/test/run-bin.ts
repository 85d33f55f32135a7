import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { removeLayersOf } from '@opencode-tools/testkit';

const bin = fileURLToPath(new URL('../dist/bin.cjs', import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly cwd?: string;
  /** A program with arguments that runs the command, such as `setpriv …`. */
  readonly under?: readonly string[];
}

/** The built command over a home of its own. */
export interface Cli extends AsyncDisposable {
  readonly home: string;
  run(argv: readonly string[], options?: RunOptions): Promise<Ran>;
  /** Runs with `--json` and gives the document. @throws when the exit code is not 0 */
  json<T>(argv: readonly string[], options?: RunOptions): Promise<T>;
  start(argv: readonly string[], options?: RunOptions): ChildProcess;
}

/** Makes a home in a temporary directory, which goes when the object is disposed of, with what the engine keeps of it. `more` is set for each command. */
export async function openCli(more: Readonly<Record<string, string>> = {}): Promise<Cli> {
  const directory = await mkdtemp(join(tmpdir(), 'oct-cli-'));
  const home = join(directory, 'home');
  const start = (argv: readonly string[], options: RunOptions = {}) => {
    const [program = process.execPath, ...rest] = [...(options.under ?? []), process.execPath, bin, ...argv];
    const { PATH, DOCKER_HOST } = process.env;
    const inherited = { HOME: directory, ...(PATH ? { PATH } : {}), ...(DOCKER_HOST ? { DOCKER_HOST } : {}) };
    return spawn(program, rest, {
      cwd: options.cwd ?? directory,
      env: { ...inherited, OPENCODE_TOOLS_HOME: home, ...more, ...options.env },
    });
  };
  const run = (argv: readonly string[], options: RunOptions = {}) => finish(start(argv, options), options.input);
  return {
    home,
    start,
    run,
    json: async <T>(argv: readonly string[], options?: RunOptions) => {
      const { code, stdout, stderr } = await run(['--json', ...argv], options);
      if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}: ${stderr}`);
      return JSON.parse(stdout) as T;
    },
    [Symbol.asyncDispose]: async () => {
      await removeLayersOf(home);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Waits for a process to end and gives what it wrote. */
export async function finish(child: ChildProcess, input = ''): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin?.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { code, stdout, stderr };
}
