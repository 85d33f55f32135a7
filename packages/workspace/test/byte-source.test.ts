import * as fc from 'fast-check';
import { testSeed } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { ByteSource } from '../src/byte-source.ts';

/** Says the length of each text in a line, as git does, in pieces that end anywhere. */
async function* streamOf(texts: readonly string[], cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const whole = Buffer.from(texts.map((text) => `${text.length}\n${text}\n`).join(''), 'latin1');
  const ends = [...cuts.map((cut) => cut % (whole.length + 1)), whole.length].sort((one, other) => one - other);
  let from = 0;
  for (const end of ends) {
    yield whole.subarray(from, end);
    from = end;
  }
}

test('what is at hand is read without waiting, and the rest as it comes, wherever the stream is cut', async () => {
  const texts = fc.array(fc.string({ unit: 'binary-ascii' }));
  await fc.assert(
    fc.asyncProperty(texts, fc.array(fc.nat(1_000)), async (given, cuts) => {
      const source = new ByteSource(streamOf(given, cuts));
      const read: string[] = [];
      for (;;) {
        const line = source.lineAtHand() ?? (await source.line());
        if (line === undefined) break;
        const size = Number(line) + 1;
        read.push((source.takeAtHand(size) ?? (await source.take(size))).toString('latin1'));
      }
      expect(read).toEqual(given.map((text) => `${text}\n`));
    }),
    { seed: testSeed(), numRuns: 300 },
  );
});
