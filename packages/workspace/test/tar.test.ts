import { execFileSync } from 'node:child_process';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { describe, expect, test } from 'vitest';
import { encodeHeader, endOfArchive } from '../src/tar-header.ts';
import { type TarMember, paddingOf } from '../src/tar-member.ts';
import { readTar } from '../src/tar-reader.ts';

const plain = {
  type: 'file',
  mode: 0o644,
  uid: 1_000,
  gid: 1_000,
  mtimeNs: 1_700_000_000_123_456_789n,
  target: '',
} as const;
const members = [
  { ...plain, name: 'plain', size: 5 },
  { ...plain, name: 'n'.repeat(99), size: 0 },
  { ...plain, name: 'n'.repeat(100), size: 512 },
  { ...plain, name: `${'long/'.repeat(60)}name`, size: 513 },
  { ...plain, name: 'odd \xff\xfe\n"\\', size: 1 },
  { ...plain, name: 'before 1970', size: 0, mtimeNs: -1_500_000_000n },
  { ...plain, name: 'large ids', size: 0, uid: 4_294_967_294, gid: 2_097_152, mode: 0o7777 },
  { ...plain, name: 'whole second', size: 0, mtimeNs: 1_000_000_000n },
  { ...plain, name: 'symlink', type: 'symlink', size: 0, target: `${'far/'.repeat(50)}\xff` },
  { ...plain, name: 'link', type: 'link', size: 0, target: 'plain' },
  { ...plain, name: 'directory', type: 'directory', size: 0 },
] as const;

describe('tar streams', () => {
  test('carry names as bytes, times to the nanosecond, and large ids', async () => {
    const expected = members.map((member) => ({ ...member, name: nameRead(member) }));
    expect(await readAll(chunked(archive(), 700))).toEqual(expected);
  });

  test('are read the same whatever the size of the chunks', async () => {
    const whole = await readAll(chunked(archive(), 1_000_000));
    for (const size of [1, 3, 511, 512, 513]) expect(await readAll(chunked(archive(), size))).toEqual(whole);
  });

  test('are taken by the system’s tar and by a common library', async () => {
    const listed = execFileSync('tar', ['-t', '--quoting-style=escape', '-f', '-'], {
      input: archive(),
      encoding: 'utf8',
    });
    expect(listed.split('\n').filter((line) => line !== '').length).toBe(members.length);
    const names: string[] = [];
    const times: (string | undefined)[] = [];
    for await (const entry of Readable.from([archive()]).pipe(extract())) {
      names.push(entry.header.name);
      times.push((entry.header.pax as Readonly<Record<string, string>> | null)?.['mtime']);
      entry.resume();
    }
    expect(names[3]).toBe(members[3].name);
    expect(times[0]).toBe('1700000000.123456789');
  });

  test.each(['ustar', 'posix', 'gnu', 'oldgnu', 'v7'])('of the system’s tar in %s format are read', async (format) => {
    const made = execFileSync('tar', ['-c', `--format=${format}`, '-C', import.meta.dirname, './tar.test.ts'], {
      maxBuffer: 1_000_000_000,
    });
    const [member] = await readAll(chunked(made, 1_000));
    expect(member).toMatchObject({ name: './tar.test.ts', type: 'file' });
  });

  test('that end before their end mark are refused at any length', async () => {
    const bytes = archive();
    for (let length = 0; length < bytes.length - 1_024; length += 97) {
      await expect(readAll(chunked(bytes.subarray(0, length), 512))).rejects.toMatchObject({
        code: 'OCT_ENGINE_UNAVAILABLE',
      });
    }
  });

  test('with a damaged header are refused', async () => {
    const bytes = archive();
    bytes[3] = 0x21;
    await expect(readAll(chunked(bytes, 512))).rejects.toMatchObject({ code: 'OCT_ENGINE_UNAVAILABLE' });
  });
});

function archive(): Buffer {
  const parts = members.flatMap((member) => [
    encodeHeader(member),
    Buffer.alloc(member.size, 'x'),
    Buffer.alloc(paddingOf(member.size)),
  ]);
  return Buffer.concat([...parts, endOfArchive()]);
}

function nameRead({ type, name }: Pick<TarMember, 'type' | 'name'>): string {
  return type === 'directory' ? `${name}/` : name;
}

async function* chunked(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<readonly TarMember[]> {
  const found: TarMember[] = [];
  for await (const [member, content] of readTar(stream)) {
    expect((await content.rest()).length).toBe(member.size);
    found.push(member);
  }
  return found;
}
