import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { VolumeFacts, VolumePort } from '@opencode-tools/core';

/** Volumes as directories below one directory, read and written by the system's tar: for tests without an engine. */
export function createDirectoryVolumes(directory: string): VolumePort & { readonly pathOf: (name: string) => string } {
  const known = new Map<string, VolumeFacts>();
  const pathOf = (name: string): string => join(directory, name);
  return {
    pathOf,
    create: async ({ name, labels, owner }) => {
      if (known.has(name)) return;
      await mkdir(pathOf(name), { recursive: true, mode: 0o755 });
      if (process.getuid?.() === 0) await chown(pathOf(name), owner.uid, owner.gid);
      known.set(name, { name, labels, createdAt: new Date().toISOString() });
    },
    find: async (name) => ((await readdir(directory)).includes(name) ? known.get(name) : undefined),
    list: async (labels) =>
      [...known.values()].filter((facts) =>
        Object.entries(labels).every(([key, value]) => facts.labels[key] === value),
      ),
    readTree: async (name, signal) => {
      const child = spawn('tar', ['-c', '--format=posix', '--numeric-owner', '-C', pathOf(name), '.'], {
        stdio: ['ignore', 'pipe', 'inherit'],
        ...(signal === undefined ? {} : { signal }),
      });
      child.on('error', () => undefined);
      return child.stdout;
    },
    writeTree: async (name, tar) => {
      const child = spawn('tar', ['-x', '-p', '--numeric-owner', '-C', pathOf(name)], {
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      const closed = once(child, 'close');
      try {
        await pipeline(Readable.from(tar, { objectMode: false }), child.stdin);
      } finally {
        await closed;
      }
      if (child.exitCode !== 0) throw new Error(`tar ended with ${child.exitCode}`);
    },
    remove: async (name) => {
      known.delete(name);
      await rm(pathOf(name), { recursive: true, force: true });
    },
  };
}
