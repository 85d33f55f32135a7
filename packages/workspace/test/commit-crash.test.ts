import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { testSeed } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { type MergeBed, git, openMergeBed, stateOf } from './merge-bed.ts';

const child = fileURLToPath(new URL('merge-child.ts', import.meta.url));
const soak = process.env['OPENCODE_TOOLS_SOAK'] === '1';
const seed = testSeed();
/** The last steps are those that change something of the user's; in a soak all are tried. */
const lastSteps = 10;
console.info(`crash tests of commit: OPENCODE_TOOLS_SEED=${seed}`);

/** Commits in a process of its own, which may kill itself at a step. */
const killed = (bed: MergeBed) => (name: string, step: number) => {
  const at = bed.repository(name, () => undefined);
  fs.writeFileSync(at('src/a'), 'theirs\n');
  fs.rmSync(at('gone'), { recursive: true });
  fs.writeFileSync(at('new'), 'new\n');
  const operation = bed.newId();
  const old = stateOf(at('.'));
  const argv = ['--conditions=@opencode-tools/source', child, bed.store, at('.'), 'commit', operation, String(step)];
  const ended = spawnSync(process.execPath, argv, { encoding: 'utf8' });
  if (ended.signal !== 'SIGKILL') expect(ended).toMatchObject({ status: 0 });
  return { at, operation, old, killed: ended.signal === 'SIGKILL', steps: Number(ended.stdout) };
};

test(`a commit that a kill broke off is on the branch and in the index, or in neither, once it is settled (seed ${seed})`, async () => {
  const bed = await openMergeBed();
  try {
    const inChild = killed(bed);
    const { steps, at: done } = inChild('counted', 0);
    expect(steps).toBeGreaterThan(lastSteps);
    const whole = stateOf(done('.'));
    expect(whole.status).toBe('');
    const seen = new Set<string>();
    const early = 1 + (seed % (steps - lastSteps));
    for (let step = soak ? 1 : early; step <= steps; step = soak || step !== early ? step + 1 : steps - lastSteps + 1) {
      const { at, operation, old, killed } = inChild(`killed-${step}`, step);
      expect(killed).toBe(true);
      // What the user puts into the index meanwhile stays in it.
      fs.writeFileSync(at('mine'), 'of the user\n');
      git(at('.'), 'add', 'mine');
      const { outcome, left } = await bed.work.settle(operation);
      seen.add(outcome);
      expect(left).toEqual([]);
      expect(git(at('.'), 'diff', '--cached', '--name-only')).toBe('mine\n');
      expect(stateOf(at('.')).tree).toBe(outcome === 'finished' ? whole.tree : old.tree);
      expect(git(at('.'), 'fsck', '--strict', '--no-dangling')).toBe('');
      await bed.work.settle(operation);
      await bed.work.forget(operation);
    }
    expect(seen).toEqual(new Set(['none', 'finished']));
    expect(await bed.work.known()).toHaveLength(1);
  } finally {
    await bed.close();
  }
}, 600_000);

test('a commit that a kill broke off comes into the index when the user has committed something else on top of it', async () => {
  const bed = await openMergeBed();
  try {
    const inChild = killed(bed);
    const { steps } = inChild('counted', 0);
    let seen = 0;
    for (let step = steps - lastSteps; step <= steps; step += 1) {
      const { at, operation } = inChild(`killed-${step}`, step);
      if (git(at('.'), 'log', '-1', '--format=%s') === 'base\n' || stateOf(at('.')).status === '') continue;
      seen += 1;
      fs.writeFileSync(at('mine'), 'of the user\n');
      git(at('.'), 'commit', '-q', '--only', '-m', 'of the user', 'mine');
      expect(await bed.work.settle(operation)).toEqual({ outcome: 'finished', left: [], saved: null });
      expect(git(at('.'), 'log', '--format=%s')).toBe('of the user\nCommit it\nbase\n');
      expect(stateOf(at('.')).status).toBe('');
    }
    expect(seen).toBeGreaterThan(0);
  } finally {
    await bed.close();
  }
}, 600_000);
