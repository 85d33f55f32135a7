import { mkdirSync, readdirSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Numbers from 0 to 1, the same for the same seed. */
function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Plants a tree of text files whose sizes vary as those of packages do. */
export function plantTree(root, { files, bytes, seed = 1 }) {
  const random = seeded(seed);
  const mean = bytes / files;
  for (let index = 0; index < files; index += 1) {
    const folder = join(root, `package-${Math.floor(index / 100)}`, ['.', 'lib', 'dist/esm', 'types'][index % 4]);
    if (index % 100 < 4) mkdirSync(folder, { recursive: true });
    const spread = Math.sqrt(-2 * Math.log(Math.max(1e-9, random()))) * Math.cos(2 * Math.PI * random());
    const size = Math.max(16, Math.min(4 * 2 ** 20, Math.round(mean * Math.exp(1.2 * spread - 0.72))));
    writeFileSync(join(folder, `file-${index}.js`), piece(random, size));
  }
}

/** Changes a share of the files: rewritten in place, replaced, added and removed. @returns bytes of what is new */
export function changeTree(root, seed, share = 0.01) {
  const random = seeded(seed * 7_919 + 13);
  const names = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
  let bytes = 0;
  const count = Math.max(4, Math.round(names.length * share));
  for (let index = 0; index < count; index += 1) {
    const [name] = names.splice(Math.floor(random() * names.length), 1);
    const body = piece(random, 200 + Math.floor(random() * 16_000));
    const way = index % 10;
    if (way < 9) bytes += body.length;
    if (way < 4) writeFileSync(name, body);
    else if (way < 8) {
      writeFileSync(`${name}.new`, body);
      renameSync(`${name}.new`, name);
    } else if (way === 8) writeFileSync(`${name}.added-${seed}`, body);
    else unlinkSync(name);
  }
  return bytes;
}

const words = (() => {
  const random = seeded(7);
  const word = () => Array.from({ length: 2 + random() * 9 }, () => letter(random)).join('');
  const known = Array.from({ length: 4_000 }, word);
  const parts = [];
  for (let length = 0; length < 16 * 2 ** 20; length += parts.at(-1).length + 1)
    parts.push(known[Math.floor(random() * random() * known.length)]);
  return Buffer.from(parts.join(' '));
})();

function letter(random) {
  return String.fromCodePoint(97 + Math.floor(random() * 26));
}

function piece(random, size) {
  const from = Math.floor(random() * (words.length - size));
  return words.subarray(from, from + size);
}
