import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Call, OpenHome } from '@opencode-tools/core';
import { type TestEngine, openTestEngine } from '@opencode-tools/testkit';
import { afterAll, beforeAll } from 'vitest';
import { type OpenHomeOptions, openHome } from '../../src/index.ts';

const run = promisify(execFile);

/** A home of its own on the real engine, and the means to see and remove what is made for it. */
export interface TestHome {
  readonly directory: string;
  readonly image: string;
  readonly engine: TestEngine;
  open(options?: Partial<OpenHomeOptions>): Promise<OpenHome>;
  docker(...argv: readonly string[]): Promise<string>;
  /** Containers and volumes of a task, by label. */
  objectsOf(taskId: string): Promise<readonly string[]>;
  /** Changes the registry behind our back, from another process: two SQLite libraries in one would break its locks. */
  sql(...statements: readonly string[]): Promise<void>;
  remove(): Promise<void>;
}

/** Whoever the tests are, when it does not matter. */
export const tester: Call = {
  actor: { kind: 'agent', id: 'tester', agent: 'tester', model: null, session: null, onBehalfOf: null },
};

/** Has a home opened before the first test of a file or group, and closed and removed after the last. Use its parts within tests. */
export function useTestHome(): { readonly home: TestHome; readonly open: OpenHome } {
  const bed: { home?: TestHome; open?: OpenHome } = {};
  beforeAll(async () => {
    bed.home = await createTestHome();
    bed.open = await bed.home.open();
  });
  afterAll(async () => {
    await bed.open?.close();
    await bed.home?.remove();
  });
  return bed as { readonly home: TestHome; readonly open: OpenHome };
}

const runSql =
  "const [file, ...statements] = process.argv.slice(1); const { DatabaseSync } = require('node:sqlite'); const db = new DatabaseSync(file); db.exec('pragma busy_timeout = 5000'); for (const statement of statements) db.exec(statement); db.close();";

export async function createTestHome(): Promise<TestHome> {
  const engine = await openTestEngine();
  const directory = await mkdtemp(path.join(os.tmpdir(), 'oct-services-'));
  const docker = async (...argv: readonly string[]): Promise<string> => (await run('docker', [...argv])).stdout;
  const lines = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '');
  const objects = async (label: string): Promise<readonly string[]> => [
    ...lines(await docker('ps', '-aq', '--filter', `label=${label}`)),
    ...lines(await docker('volume', 'ls', '-q', '--filter', `label=${label}`)),
  ];
  let homeId: string | undefined;
  return {
    directory,
    image: engine.imageId,
    engine,
    docker,
    sql: async (...statements) => {
      await run(process.execPath, ['-e', runSql, path.join(directory, 'registry.db'), ...statements]);
    },
    objectsOf: (taskId) => objects(`io.opencode-tools.task=${taskId}`),
    open: async (options) => {
      const opened = await openHome({ home: directory, cwd: directory, environment: process.env, ...options });
      homeId = opened.homeId;
      return opened;
    },
    remove: async () => {
      const label = `io.opencode-tools.home=${homeId ?? 'none'}`;
      for (const id of lines(await docker('ps', '-aq', '--filter', `label=${label}`)))
        await docker('rm', '-f', '-v', id);
      for (const name of lines(await docker('volume', 'ls', '-q', '--filter', `label=${label}`)))
        await docker('volume', 'rm', '-f', name);
      for (const id of lines(await docker('network', 'ls', '-q', '--filter', `label=${label}`)))
        await docker('network', 'rm', id);
      for (const id of new Set(lines(await docker('images', '-q', '--filter', `label=${label}`))))
        await docker('rmi', '-f', id);
      await engine.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
