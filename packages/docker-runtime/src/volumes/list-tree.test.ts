import { expect, test } from 'vitest';
import { readListing } from './list-tree.ts';

const mark = 'f00d'.repeat(8);
const facts = '777 0 0 3 1 1:2 1.5000000000 2.0000000000';
const listed = Buffer.from(`1700000000000000000\nl ${facts} link\0end\0f ${facts} file\0\0${mark}\0`);

async function* pieces(size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < listed.length; at += size) yield listed.subarray(at, at + size);
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
