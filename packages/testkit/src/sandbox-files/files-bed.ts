import { createHash } from 'node:crypto';
import {
  type FileAccess,
  type HomeId,
  type SandboxFiles,
  type SandboxHandle,
  type SandboxRuntime,
  createIds,
  systemClock,
} from '@opencode-tools/core';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { runIn, samplePlan } from '../sandbox-samples.ts';

export interface OpenSandboxFiles {
  readonly runtime: SandboxRuntime;
  readonly homeId: HomeId;
  /** An image with a shell, the usual programs and a user 1000. */
  readonly imageId: string;
  readonly close: () => Promise<void>;
}

const ids = createIds(systemClock);
export const everyByte = Buffer.from(Array.from({ length: 1_024 }, (_, index) => index % 256));

export const access = (change: Partial<FileAccess> = {}): FileAccess => ({
  executionId: ids.next('execution'),
  token: 5,
  ...change,
});

export const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** What the tests of files share. Its members may be called inside of tests alone. */
export type FilesBed = ReturnType<typeof useFilesBed>;

/** Makes one sandbox for the tests of the surrounding `describe`; each begins with an empty workspace. */
export function useFilesBed(open: () => Promise<OpenSandboxFiles>) {
  let opened: OpenSandboxFiles;
  let sandbox: SandboxHandle;
  beforeAll(async () => {
    opened = await open();
    sandbox = await opened.runtime.create(samplePlan(opened.homeId, opened.imageId));
  });
  afterAll(async () => {
    await sandbox.destroy();
    await opened.close();
  });
  beforeEach(async () => {
    await sh('cd /workspace && chmod -R u+rwx . && rm -rf ./* ./.[!.]*; true');
  });

  const files = (): SandboxFiles => sandbox.files;
  const sh = async (script: string): Promise<string> => {
    const { stdout, reason } = await runIn(sandbox, script);
    expect(reason).toBe('exited');
    return stdout;
  };
  const write = async (path: string, content: Uint8Array | string, change = {}) =>
    files().write(access(), {
      path: `/workspace/${path}`,
      content: typeof content === 'string' ? Buffer.from(content) : content,
      makeParents: false,
      ...change,
    });
  const read = async (path: string, change = {}) =>
    files().read(access(), { path: `/workspace/${path}`, limitBytes: 1024 ** 2, withDigest: true, ...change });
  const tidy = async (): Promise<void> => expect(await sh('find /workspace -name ".oct-*"')).toBe('');
  return { opened: () => opened, sandbox: () => sandbox, files, sh, write, read, tidy };
}

export async function* streamOf(chunks: readonly Uint8Array[], failure?: Error): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
  if (failure !== undefined) throw failure;
}

export async function all(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
