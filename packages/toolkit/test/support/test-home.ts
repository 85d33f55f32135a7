import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { OpenHome } from '@opencode-tools/core';
import { openTestEngine } from '@opencode-tools/testkit';
import { openHome } from '../../src/index.ts';

const run = promisify(execFile);

/** A home of its own on the real engine, and the means to see and remove what is made for it. */
export interface TestHome {
  readonly directory: string;
  readonly image: string;
  open(): Promise<OpenHome>;
  docker(...argv: readonly string[]): Promise<string>;
  /** Containers and volumes of a task, by label. */
  objectsOf(taskId: string): Promise<readonly string[]>;
  remove(): Promise<void>;
}

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
    docker,
    objectsOf: (taskId) => objects(`io.opencode-tools.task=${taskId}`),
    open: async () => {
      const opened = await openHome({ home: directory, cwd: directory, environment: process.env });
      homeId = opened.homeId;
      return opened;
    },
    remove: async () => {
      const label = `io.opencode-tools.home=${homeId ?? 'none'}`;
      for (const id of lines(await docker('ps', '-aq', '--filter', `label=${label}`)))
        await docker('rm', '-f', '-v', id);
      for (const name of lines(await docker('volume', 'ls', '-q', '--filter', `label=${label}`)))
        await docker('volume', 'rm', '-f', name);
      for (const id of new Set(lines(await docker('images', '-q', '--filter', `label=${label}`))))
        await docker('rmi', '-f', id);
      await engine.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
