import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NewFile } from './new-file.ts';

test('a file has all chunks in their order, however many and however long', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'oct-new-file-'));
  try {
    const sizes = [1, 262_144, 262_145, 0, 700_001, ...Array.from({ length: 40 }, (_none, index) => 10_000 + index)];
    const chunks = sizes.map((size, index) => Buffer.alloc(size, `chunk ${index} `));
    const file = new NewFile(join(directory, 'output'));
    await file.append(chunks);
    await file.append([]);
    await file.append(chunks.slice(1, 3));
    await file.close();
    const written = await readFile(join(directory, 'output'));
    expect(written.equals(Buffer.concat([...chunks, ...chunks.slice(1, 3)]))).toBe(true);
  } finally {
    await rm(directory, { recursive: true });
  }
});
