import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { BlobTable } from '../src/blob-table.ts';
import { PackRows, type BlobPlace, encodeIndex } from '../src/pack-format.ts';

const trailerLength = 48;
const digestOf = (number: number) => createHash('sha256').update(String(number)).digest('hex');

function packOf(name: string, numbers: readonly number[]) {
  const places: BlobPlace[] = numbers.map((number) => {
    return { digest: digestOf(number), offset: 8 + number, length: number, stored: number, packed: false };
  });
  return { name, rows: new PackRows(encodeIndex(places, 8, 'plain').subarray(0, -trailerLength), 'plain') };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at);
const never = () => false;

describe('A table of blobs', () => {
  it('finds each of many blobs where it is, and no other', () => {
    const table = new BlobTable<ReturnType<typeof packOf>>();
    const packs = [
      packOf('one', range(0, 3_000)),
      packOf('two', range(3_000, 3_001)),
      packOf('three', range(3_001, 9_000)),
    ];
    for (const pack of packs) table.add(pack, never);
    for (const number of range(0, 9_000)) {
      const found = table.find(digestOf(number));
      expect(found?.pack.rows.placeAt(found.row)).toMatchObject({ digest: digestOf(number), length: number });
      expect(table.findIn(Buffer.from(`00${digestOf(number)}`, 'hex'), 1)).toEqual(found);
    }
    for (const number of range(9_000, 9_100)) expect(table.find(digestOf(number))).toBeUndefined();
  });

  it('leaves a blob where it was first, unless that pack gives way', () => {
    const table = new BlobTable<ReturnType<typeof packOf>>();
    table.add(packOf('first', range(0, 100)), never);
    table.add(packOf('second', range(50, 150)), never);
    table.add(packOf('third', range(0, 150)), ({ name }) => name === 'second');
    const at = (number: number) => table.find(digestOf(number))?.pack.name;
    expect([at(0), at(99), at(100), at(149)]).toEqual(['first', 'first', 'third', 'third']);
  });

  it('knows nothing by what is no digest', () => {
    const table = new BlobTable<ReturnType<typeof packOf>>();
    table.add(packOf('one', [1]), never);
    const digest = digestOf(1);
    const others = ['', digest.slice(1), `${digest}0`, digest.toUpperCase(), ` ${digest.slice(1)}`, 'g'.repeat(64)];
    expect(others.map((one) => table.find(one))).toEqual(others.map(() => undefined));
  });
});
