import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleScript } from '../../../tsup.base.ts';

export interface Child {
  readonly process: ChildProcess;
  /** Lines said so far. */
  readonly lines: readonly string[];
  /** Resolves when that many lines have been said, or the process has ended. */
  readonly said: (count: number) => Promise<void>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

export interface ChildOptions extends SpawnOptions {
  /** User and group that the child becomes once its code is loaded, which that user may not be able to read. */
  readonly becomes?: number | undefined;
}

const script = fileURLToPath(new URL('child.ts', import.meta.url));
export interface ChildScript {
  readonly path: string;
  readonly remove: () => void;
}

/** Makes one file out of a script beside this one that is to be started many times. */
export async function bundleChild(name: string): Promise<ChildScript> {
  const beside = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const path = await bundleScript(beside(name), beside(`../node_modules/.cache/bundles/${process.pid}`));
  return { path, remove: () => rmSync(dirname(path), { recursive: true, force: true }) };
}

/** Starts a story of `child.ts` in a process of its own. */
export function startChild(story: string, args: readonly string[], { becomes, ...options }: ChildOptions = {}): Child {
  const env = becomes === undefined ? process.env : { ...process.env, OCT_TEST_BECOMES: String(becomes) };
  return startFile(script, [story, ...args], { env, ...options });
}

/** Starts any file in a process of its own. */
export function startFile(file: string, args: readonly string[], options: SpawnOptions = {}): Child {
  const argv = ['--conditions=@opencode-tools/source', file, ...args];
  const child = spawn(process.execPath, argv, { stdio: ['pipe', 'pipe', 'inherit'], ...options });
  const lines: string[] = [];
  let rest = '';
  const waiters = new Set<() => void>();
  const wake = () => waiters.forEach((waiter) => waiter());
  child.stdout?.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
    wake();
  });
  let over = false;
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      over = true;
      wake();
      resolve({ code, signal });
    });
  });
  const said = (count: number) =>
    new Promise<void>((resolve) => {
      const check = () => {
        if (lines.length < count && !over) return;
        waiters.delete(check);
        resolve();
      };
      waiters.add(check);
      check();
    });
  return { process: child, lines, said, ended };
}
