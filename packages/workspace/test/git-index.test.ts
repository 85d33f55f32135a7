import { expect, test } from 'vitest';
import { readIndex } from '../src/git-index.ts';
import type { GitRunner } from '../src/git-runner.ts';

const object = 'a'.repeat(40);
const entry = `100644 ${object} 0\tone\0`;

const saying = (out: string): GitRunner => ({
  run: () => Promise.resolve(Buffer.from(out, 'latin1')),
  try: () => Promise.reject(new Error('not asked')),
  stream: () => {
    throw new Error('not asked');
  },
});

test.each([
  ['between others', `${entry}100644 ?\ttwo\0${entry}`],
  ['at the end', `${entry}100644 ${object} 0\ttwo`],
])('an index that git tells in another form %s is refused, and not read in part', async (_, out) => {
  expect(await readIndex(saying(entry + entry), { cwd: '/' }, [''])).toHaveLength(2);
  await expect(readIndex(saying(out), { cwd: '/' }, [''])).rejects.toMatchObject({
    code: 'OCT_CAPABILITY_UNSUPPORTED',
  });
});
