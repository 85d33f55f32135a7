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
