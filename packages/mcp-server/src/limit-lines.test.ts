import { once } from 'node:events';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type LongLine, limitLines } from './limit-lines.ts';

/** What comes out of text that goes in cut at these places. */
async function pass(text: string, limitBytes: number, cuts: readonly number[] = []) {
  const long: LongLine[] = [];
  const stream = limitLines(limitBytes, (line) => void long.push(line));
  const out: string[] = [];
  stream.on('data', (chunk: Buffer) => void out.push(chunk.toString()));
  const bytes = Buffer.from(text);
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  for (const [index, start] of places.slice(0, -1).entries()) stream.write(bytes.subarray(start, places[index + 1]));
  stream.end();
  await once(stream, 'end');
  return { out, long };
}

describe('limitLines', () => {
  test('passes lines on one by one, however they arrive', async () => {
    expect(await pass('one\ntwo\n\nthree\nrest', 5, [1, 5, 9])).toEqual({
      out: ['one\n', 'two\n', '\n', 'three\n'],
      long: [],
    });
  });

  test('leaves a longer line out, says its size and its id, and goes on', async () => {
    const { out, long } = await pass('{"id":7,"x":"yyyyyyyyyy"}\nnext\n', 10, [12, 20]);
    expect(out).toEqual(['next\n']);
    expect(long).toEqual([{ id: 7, bytes: 25 }]);
  });

  test('finds the id of any message at its top, and only there', async () => {
    const message = fc.tuple(
      fc.oneof(fc.integer(), fc.string({ maxLength: 20 })),
      fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }),
      fc.boolean(),
      fc.array(fc.nat(), { maxLength: 5 }),
    );
    await fc.assert(
      fc.asyncProperty(message, async ([id, params, first, cuts]) => {
        const body = { jsonrpc: '2.0', method: 'tools/call', params: { ...params, id: 'inner', list: ['"id":1'] } };
        const text = JSON.stringify(first ? { id, ...body } : { ...body, id });
        const { out, long } = await pass(`${text}\n`, 3, cuts);
        expect(out).toEqual([]);
        expect(long).toEqual([{ id, bytes: Buffer.byteLength(text) }]);
      }),
    );
  });

  test.each([
    '[1,2,3,4,5]',
    '{"id":null,"a":1}',
    '{"id":{"a":1}}',
    '{"method":"x"}',
    'no json at all',
    '{"id":"x',
    '}}}}{{',
  ])('a line without an id of its own has none: %s', async (text) => {
    expect((await pass(`${text}\n`, 2)).long).toMatchObject([{ id: null }]);
  });
});
