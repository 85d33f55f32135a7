import { randomFrom, testSeed } from '@opencode-tools/testkit';
import type { RegistryPlace } from '../src/index.ts';
import { type Contest, Contenders } from './contenders.ts';

const isLong = process.env['OPENCODE_TOOLS_SOAK'] === '1';
/** 1,000 over both engines and both contests, or what is asked for. */
const rounds = isLong ? Number(process.env['OPENCODE_TOOLS_SOAK_ROUNDS'] ?? 250) : 1;
export const soakLimitMs = isLong ? 12 * 3_600_000 : 240_000;

/** In a soak each contender is a process of its own; otherwise they share some, which start faster and stay for both. */
const contests: readonly Contest[] = [
  { processes: isLong ? 16 : 4, contendersPerProcess: isLong ? 1 : 4, tasks: 1 },
  { processes: isLong ? 50 : 5, contendersPerProcess: isLong ? 1 : 10, tasks: 12 },
];

/**
 * Plays the rounds of 16 contenders on one task, then of 50 on many. @returns everything that was wrong, with the seed and
 * the round
 */
export async function soak(directory: string, place: RegistryPlace): Promise<readonly string[]> {
  const seed = testSeed();
  await using contenders = await Contenders.open(directory, place, randomFrom(seed));
  for (const contest of contests) {
    for (let round = 1; round <= rounds; round += 1) {
      const faults = await contenders.round(contest);
      if (isLong) process.stdout.write(`${place.engine}, ${contest.tasks} tasks, seed ${seed}: round ${round}\n`);
      if (faults.length > 0) return faults.map((fault) => `seed ${seed}, round ${round}: ${fault}`);
    }
  }
  return (await contenders.verify()).map((fault) => `seed ${seed}, at the end: ${fault}`);
}
