import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { chown, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { VolumeFacts, VolumeNode, VolumePort } from '@opencode-tools/core';

const attributes = ['--xattrs', '--xattrs-include=*'];

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
      const child = spawn('tar', ['-c', '--format=posix', '--numeric-owner', ...attributes, '-C', pathOf(name), '.'], {
        stdio: ['ignore', 'pipe', 'inherit'],
        ...(signal === undefined ? {} : { signal }),
      });
      child.on('error', () => undefined);
      return child.stdout;
    },
    listTree: async (name) => ({
      startedNs: BigInt(Date.now()) * 1_000_000n,
      nodes: nodesBelow(pathOf(name), ''),
      read: (paths) => {
        const argv = [
          '-c',
          '--format=posix',
          '--numeric-owner',
          ...attributes,
          '-C',
          pathOf(name),
          '--no-recursion',
          '--null',
          '-T',
          '-',
        ];
        const child = spawn('tar', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
        child.stdin.end(Buffer.from(paths.map((path) => `./${path}\0`).join(''), 'latin1'));
        return child.stdout;
      },
      [Symbol.asyncDispose]: async () => undefined,
    }),
    writeTree: async (name, tar) => {
      const child = spawn('tar', ['-x', '-p', '--numeric-owner', ...attributes, '-C', pathOf(name)], {
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

function nodesBelow(root: string, path: string): readonly VolumeNode[] {
  const full = Buffer.from(join(root, path), 'latin1');
  const facts = lstatSync(full, { bigint: true });
  const type = facts.isFile()
    ? 'file'
    : facts.isDirectory()
      ? 'directory'
      : facts.isSymbolicLink()
        ? 'symlink'
        : 'other';
  const node: VolumeNode = {
    path,
    type,
    mode: Number(facts.mode) & 0o7777,
    uid: Number(facts.uid),
    gid: Number(facts.gid),
    size: Number(facts.size),
    links: Number(facts.nlink),
    identity: `${facts.dev}:${facts.ino}`,
    modifiedNs: facts.mtimeNs,
    changedNs: facts.ctimeNs,
    target: type === 'symlink' ? readlinkSync(full, { encoding: 'latin1' }) : '',
  };
  if (type !== 'directory') return [node];
  const names = readdirSync(full, { encoding: 'latin1' });
  return [node, ...names.flatMap((name) => nodesBelow(root, path === '' ? name : `${path}/${name}`))];
}
