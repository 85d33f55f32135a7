import { expect, test } from 'vitest';
import { readListing, upToEnding } from './list-tree.ts';

const mark = 'f00d'.repeat(8);
const facts = '777 0 0 3 1 1:2 1.5000000000 2.0000000000';
const listed = Buffer.from(`1700000000000000000\nl ${facts} link\0end\0f ${facts} file\0\0${mark}\0`);

async function* pieces(size: number, of = listed): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < of.length; at += size) yield of.subarray(at, at + size);
}

test.each([1, 7, listed.indexOf('\0f ') + 1, listed.length])(
  'a listing that comes in pieces of %i bytes is read to its mark, whatever links lead to',
  async (size) => {
    const read = await readListing(pieces(size), mark);
    expect(read?.nodes.map(({ path, target }) => [path, target])).toEqual([
      ['link', 'end'],
      ['file', ''],
    ]);
    expect(read?.nodes[1]).toMatchObject({ modifiedNs: 1_500_000_000n, changedNs: 2_000_000_000n, identity: '1:2' });
  },
);

test('a listing that breaks off is none', async () => {
  const cut = (async function* () {
    yield listed.subarray(0, -1);
  })();
  expect(await readListing(cut, mark)).toBeUndefined();
});

test.each([1, 7, 34, 35, 36, 60, 1_000])(
  'a tar that comes in pieces of %i bytes is passed on up to its mark',
  async (size) => {
    const content = Buffer.from(`${'x'.repeat(50)}${mark.slice(0, -1)}y${'z'.repeat(45)}`);
    const read = upToEnding(pieces(size, Buffer.concat([content, Buffer.from(`${mark}002`)])), mark);
    const passed: Uint8Array[] = [];
    let next = await read.next();
    for (; next.done !== true; next = await read.next()) passed.push(next.value);
    expect(Buffer.concat(passed).equals(content)).toBe(true);
    expect(next.value).toBe(2);
  },
);

test('a tar that breaks off has no ending', async () => {
  const read = upToEnding(pieces(9, Buffer.from(`content${mark}00`)), mark);
  let next = await read.next();
  while (next.done !== true) next = await read.next();
  expect(next.value).toBeUndefined();
});
