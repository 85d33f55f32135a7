import { describe, expect, test } from 'vitest';
import { Demultiplexer } from './demultiplex.ts';
import { ResultSplitter } from './result-splitter.ts';

const nonce = '0123456789abcdef0123456789abcdef';
const cuts = [1, 2, 3, 5, 7, 8, 9, 33, 34, 64, 1_000];

function pieces(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}

function frame(type: number, content: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = type;
  header.writeUInt32BE(Buffer.byteLength(content), 4);
  return Buffer.concat([header, Buffer.from(content)]);
}

describe('a multiplexed stream', () => {
  test.each(cuts)('comes apart the same when cut every %i bytes', (size) => {
    const whole = Buffer.concat([
      frame(1, 'out'),
      frame(2, ''),
      frame(2, 'err'),
      frame(1, 'x'.repeat(100)),
      frame(2, '!'),
    ]);
    const seen = { out: '', err: '' };
    const demultiplexer = new Demultiplexer(
      (chunk) => (seen.out += chunk.toString()),
      (chunk) => (seen.err += chunk.toString()),
    );
    for (const piece of pieces(whole, size)) demultiplexer.push(piece);
    expect(seen).toEqual({ out: `out${'x'.repeat(100)}`, err: 'err!' });
  });
});

describe('one stream of a lane', () => {
  const output = Buffer.from(`a\u001e${nonce.slice(0, 8)}\u001e\u001e${nonce}x\n\u001e`);
  const whole = Buffer.concat([output, Buffer.from(`\u001e${nonce} 0 0 -\n`)]);

  test.each(cuts)('gives the output before a result, and the result, when cut every %i bytes', async (size) => {
    const splitter = new ResultSplitter();
    const seen: Buffer[] = [];
    const result = splitter.expect(nonce, (chunk) => seen.push(Buffer.from(chunk)));
    for (const piece of pieces(whole, size)) splitter.push(piece);
    expect(await result).toBe('0 0 -');
    expect(Buffer.concat(seen)).toEqual(output);
  });

  test('passes on at once what cannot be the beginning of a result', () => {
    const splitter = new ResultSplitter();
    const seen: string[] = [];
    void splitter.expect(nonce, (chunk) => seen.push(chunk.toString())).catch(() => undefined);
    splitter.push(Buffer.from('prompt> '));
    splitter.push(Buffer.from(`\u001e${nonce.slice(0, 5)}`));
    expect(seen).toEqual(['prompt> ']);
    splitter.push(Buffer.from('no'));
    expect(seen.join('')).toBe(`prompt> \u001e${nonce.slice(0, 5)}no`);
  });

  test('drops what nobody waits for, and hands on what it held when it breaks', async () => {
    const splitter = new ResultSplitter();
    splitter.push(Buffer.from('late'));
    const seen: string[] = [];
    const result = splitter.expect(nonce, (chunk) => seen.push(chunk.toString()));
    splitter.push(Buffer.from(`x\u001e${nonce}`));
    splitter.fail(new Error('gone'));
    await expect(result).rejects.toThrow('gone');
    expect(seen.join('')).toBe(`x\u001e${nonce}`);
    await expect(splitter.expect(nonce, () => undefined)).rejects.toThrow('gone');
  });

  describe('with packed blocks', () => {
    /** 3 bytes, and 40,000 that begin 3 before. */
    const run = packedRun(40_003);
    const block = (of: string, head = `40003 ${run.length}`) =>
      Buffer.concat([Buffer.from(`\u001e${of}=${head}\n`), run]);
    const unpacked = 'abc'.repeat(13_335).slice(0, 40_003);

    test.each(cuts)(
      'gives what they were made from, and what stands between, when cut every %i bytes',
      async (size) => {
        const splitter = new ResultSplitter();
        const seen: Buffer[] = [];
        const result = splitter.expect(nonce, (chunk) => seen.push(Buffer.from(chunk)));
        const result0 = Buffer.from(`\u001e${nonce} 0 0 -\n`);
        const all = [Buffer.from('a\u001e'), block(nonce), block(nonce), Buffer.from('b'), block(nonce), result0];
        for (const piece of pieces(Buffer.concat(all), size)) splitter.push(piece);
        expect(await result).toBe('0 0 -');
        expect(Buffer.concat(seen).toString() === `a\u001e${unpacked}${unpacked}b${unpacked}`).toBe(true);
      },
    );

    test('leaves those alone that do not begin with the nonce', async () => {
      const splitter = new ResultSplitter();
      const seen: Buffer[] = [];
      const result = splitter.expect(nonce, (chunk) => seen.push(Buffer.from(chunk)));
      const forged = block(nonce.replace('0', '1'));
      splitter.push(Buffer.concat([forged, Buffer.from(`\u001e${nonce} 0 0 -\n`)]));
      expect(await result).toBe('0 0 -');
      expect(Buffer.concat(seen).equals(forged)).toBe(true);
    });

    test.each(['65537 40', '0 40', '40 0', '40 41', '', '40', 'x 3', '99999999 3', '40002 4', '40004 4'])(
      'fails for one that says %j',
      async (head) => {
        const splitter = new ResultSplitter();
        const result = splitter.expect(nonce, () => undefined);
        splitter.push(block(nonce, head.replace(/4$/, String(run.length))));
        await expect(result).rejects.toThrow(RangeError);
      },
    );

    test('passes no more on while what came before is dealt with, and all when it breaks', async () => {
      let isFull = false;
      const splitter = new ResultSplitter(() => isFull);
      let bytes = 0;
      const result = splitter.expect(nonce, (chunk) => {
        bytes += chunk.length;
        isFull = true;
      });
      splitter.push(Buffer.concat([block(nonce), block(nonce), block(nonce)]));
      splitter.push(Buffer.concat([block(nonce), Buffer.from('abc')]));
      expect(bytes).toBe(40_003);
      isFull = false;
      splitter.goOn();
      expect(bytes).toBe(80_006);
      splitter.fail(new Error('gone'));
      await expect(result).rejects.toThrow('gone');
      expect(bytes).toBe(4 * 40_003 + 3);
    });
  });
});

function packedRun(bytes: number): Buffer {
  const again = bytes - 3 - 5 - 4 - 15;
  const lengths = [...Array.from({ length: Math.floor(again / 255) }, () => 255), again % 255];
  const tail = 'abc'
    .repeat(4)
    .slice((bytes - 5) % 3)
    .slice(0, 5);
  return Buffer.from([0x3f, ...Buffer.from('abc'), 3, 0, ...lengths, 0x50, ...Buffer.from(tail)]);
}
