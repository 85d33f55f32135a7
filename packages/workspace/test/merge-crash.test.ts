import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { testSeed } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { git, openMergeBed, stateOf } from './merge-bed.ts';

const child = fileURLToPath(new URL('merge-child.ts', import.meta.url));
const soak = process.env['OPENCODE_TOOLS_SOAK'] === '1';
const seed = testSeed();
/** The last steps are those that change something of the user's; in a soak all are tried. */
const lastSteps = 9;
console.info(`crash tests of merge: OPENCODE_TOOLS_SEED=${seed}`);

test(`a merge that a kill broke off has happened to branch and work tree, or to neither, once it is settled (seed ${seed})`, async () => {
  const bed = await openMergeBed();
  try {
    const prepare = (at: (file: string) => string): void => fs.writeFileSync(at('mine'), 'not committed\n');
    const change = (inside: (file: string) => string): void => {
      fs.writeFileSync(inside('src/a'), 'theirs\n');
      fs.rmSync(inside('gone'), { recursive: true });
      fs.writeFileSync(inside('new'), 'new\n');
    };
    const inChild = async (name: string, step: number) => {
      const at = bed.repository(name, prepare);
      const bundled = await bed.bundled(name, at, change);
      const operation = bed.newId();
      await bundled.receive(operation);
      const old = { ...stateOf(at('.')), main: git(at('.'), 'rev-parse', 'main') };
      const argv = [
        '--conditions=@opencode-tools/source',
        child,
        bed.store,
        at('.'),
        bundled.base,
        operation,
        String(step),
      ];
      const ended = spawnSync(process.execPath, argv, { encoding: 'utf8' });
      if (ended.signal !== 'SIGKILL') expect(ended).toMatchObject({ status: 0 });
      return { at, operation, old, killed: ended.signal === 'SIGKILL', steps: Number(ended.stdout) };
    };
    const { steps, at: done } = await inChild('counted', 0);
    expect(steps).toBeGreaterThan(lastSteps);
    const whole = { files: stateOf(done('.')).files, status: stateOf(done('.')).status };
    const seen = new Set<string>();
    const early = 1 + (seed % (steps - lastSteps));
    for (let step = soak ? 1 : early; step <= steps; step = soak || step !== early ? step + 1 : steps - lastSteps + 1) {
      const { at, operation, old, killed } = await inChild(`killed-${step}`, step);
      expect(killed).toBe(true);
      const { outcome, left } = await bed.work.settle(operation);
      seen.add(outcome);
      expect(left).toEqual([]);
      const { files, status, tree } = stateOf(at('.'));
      const main = git(at('.'), 'rev-parse', 'main');
      if (outcome === 'finished') expect({ files, status }).toEqual(whole);
      else expect({ files, status, tree, main }).toEqual(old);
      expect(main === old.main).toBe(outcome !== 'finished');
      await bed.work.settle(operation);
      expect({ files, status, tree }).toEqual(stateOf(at('.')));
      await bed.work.forget(operation);
    }
    expect(seen).toEqual(new Set(['none', 'finished']));
    expect(await bed.work.known()).toHaveLength(1);
  } finally {
    await bed.close();
  }
}, 600_000);
