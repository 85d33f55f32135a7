import { existsSync, readFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';

/** One member of a test image. */
export interface ImageEntry {
  readonly name: string;
  readonly type: 'file' | 'directory' | 'link';
  readonly mode: number;
  readonly owner?: number;
  readonly content?: Buffer;
  readonly target?: string;
}

const block = 512;
const user = 1000;
const shells = ['sh', 'ash', 'hush'];

/**
 * Gives the root file system of a small image as a tar: busybox, the directories that programs expect, and unless said
 * otherwise a user `agent`.
 *
 * @param options `user: false` leaves out the user, so that nothing in the image can change to it; `shell: false` leaves out
 *   whatever is called as a shell
 */
export function busyboxTree(options: { readonly user?: boolean; readonly shell?: boolean | 'ends' } = {}): Buffer {
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
  if (!busybox) throw new Error('The engine tests make their image from busybox: apt-get install busybox-static');
  const applets = spawnSync(busybox, ['--list'], { encoding: 'utf8' }).stdout.trim().split('\n');
  return imageTree(options.user !== false, [
    { name: 'bin/busybox', type: 'file', mode: 0o755, content: readFileSync(busybox) },
    ...applets
      .filter((name) => name !== 'busybox' && ((options.shell ?? true) === true || !shells.includes(name)))
      .map((name) => ({ name: `bin/${name}`, type: 'link', mode: 0o777, target: 'busybox' }) as const),
    ...(options.shell === 'ends' ? [endingShell] : []),
  ]);
}

const endingShell = { name: 'bin/sh', type: 'file', mode: 0o755, content: Buffer.from('#!/bin/false\n') } as const;

/** The directories that programs expect, `agent` unless left out, and what else is named. */
export function imageTree(withUser: boolean, programs: readonly ImageEntry[]): Buffer {
  const accounts = [
    'root:x:0:0:root:/root:/bin/sh',
    ...(withUser ? [`agent:x:${user}:${user}::/home/agent:/bin/sh`] : []),
  ];
  const entries: ImageEntry[] = [
    ...['bin/', 'etc/', 'home/', 'root/', 'usr/', 'usr/bin/', 'var/'].map((name) => directory(name)),
    directory('tmp/', 0o1777),
    directory('home/agent/', 0o755, user),
    directory('workspace/', 0o755, user),
    directory('opt/', 0o755, user),
    { name: 'etc/passwd', type: 'file', mode: 0o644, content: Buffer.from(`${accounts.join('\n')}\n`) },
    ...programs,
  ];
  return Buffer.concat([...entries.map(encode), Buffer.alloc(2 * block)]);
}

export function directory(name: string, mode = 0o755, owner = 0): ImageEntry {
  return { name, type: 'directory', mode, owner };
}

/** One entry in the POSIX ustar format. */
function encode({ name, type, mode, owner = 0, content = Buffer.alloc(0), target = '' }: ImageEntry): Buffer {
  const header = Buffer.alloc(block);
  const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, '0')}\0`;
  header.write(name, 0);
  header.write(octal(mode, 8), 100);
  header.write(octal(owner, 8), 108);
  header.write(octal(owner, 8), 116);
  header.write(octal(content.length, 12), 124);
  header.write(octal(1_700_000_000, 12), 136);
  header.write({ file: '0', link: '2', directory: '5' }[type], 156);
  header.write(target, 157);
  header.write('ustar\u000000', 257);
  header.write('        ', 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, content, Buffer.alloc((block - (content.length % block)) % block)]);
}
