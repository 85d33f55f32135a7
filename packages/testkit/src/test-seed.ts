/**
 * Gives the seed of this run's made-up cases: `OPENCODE_TOOLS_SEED` when it is set, another one each time in a soak
 * (`OPENCODE_TOOLS_SOAK=1`), otherwise always the same, so that a run of the tests says of a tree what the next one says.
 *
 * @returns a whole number from 0 to 999,999
 */
export function testSeed(): number {
  const given = process.env['OPENCODE_TOOLS_SEED'];
  if (given !== undefined) return Number(given);
  return process.env['OPENCODE_TOOLS_SOAK'] === '1' ? Math.floor(Math.random() * 1_000_000) : 261_128;
}

/** Numbers from 0 to 1, below 1, the same for the same seed (Mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
