import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { randomFrom, testSeed } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LayerBed, openLayerBed, owner } from './support/layer-bed.ts';

const child = fileURLToPath(new URL('./support/layer-child.ts', import.meta.url));
const mostSteps = 400;
const seed = testSeed();
const random = randomFrom(seed);
/** Every step in a soak; otherwise some, by the seed. */
const stride = process.env['OPENCODE_TOOLS_SOAK'] === '1' ? 1 : 8;

console.info(`crash tests of layers: OPENCODE_TOOLS_SEED=${seed}`);

describe(`a process killed between any two steps of its work on layers (seed ${seed})`, { timeout: 900_000 }, () => {
  let bed: LayerBed;
  beforeAll(async () => {
    bed = await openLayerBed();
  });
  afterAll(() => bed.remove());

  /** Says whether the process was killed before it had done. */
  const killedAt = async (step: number, what: string, ...rest: readonly string[]): Promise<boolean> => {
    const argv = ['--conditions=@opencode-tools/source', child, bed.directory, bed.homeId, String(step), what, ...rest];
    const running = spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'] });
    const [code, signal] = (await once(running, 'exit')) as [number | null, string | null];
    if (signal === 'SIGKILL') return true;
    expect(code).toBe(0);
    return false;
  };
  /** Kills at every step until there are no more. Returns how many kills there were. */
  const everyStep = async (round: (step: number) => Promise<boolean>): Promise<number> => {
    let kills = 0;
    for (let step = 1 + Math.floor(random() * stride); step < mostSteps; step += stride) {
      if (!(await round(step))) return kills;
      kills += 1;
    }
    throw new Error(`There are more than ${mostSteps} steps`);
  };
  const provision = async (snapshotId: string | null): Promise<string> => {
    const volume = bed.newVolume();
    await bed.store.provision({ volume, labels: bed.labels, owner, snapshotId });
    return volume;
  };
  const freeze = async (volume: string): Promise<string> => (await bed.store.freeze({ kind: 'volume', volume })).id;
  /** What a snapshot holds, as a volume made from it shows. */
  const shows = async (snapshotId: string): Promise<string> => {
    const volume = await provision(snapshotId);
    const text = await bed.run(volume, 'cat state; ls');
    await bed.volumes.remove(volume);
    return text;
  };
  /** A snapshot, and a volume of it in which more has changed. */
  const begin = async (): Promise<{ readonly volume: string; readonly id: string }> => {
    const volume = await provision(null);
    await bed.run(volume, 'echo old >state; echo x >removed');
    const id = await freeze(volume);
    await bed.run(volume, 'echo new >state; rm removed; echo y >added');
    return { volume, id };
  };
  const [old, now] = ['old\nremoved\nstate', 'new\nadded\nstate'];

  test('keeps what was frozen, and freezes the rest again', async () => {
    const kills = await everyStep(async (step) => {
      const { volume, id } = await begin();
      const killed = await killedAt(step, 'freeze', volume);
      expect((await bed.store.verify(id)).id).toBe(id);
      const again = await freeze(volume);
      expect(await freeze(volume)).toBe(again);
      expect([await shows(id), await shows(again)]).toEqual([old, now]);
      expect((await bed.store.verify(again)).id).toBe(again);
      await bed.volumes.remove(volume);
      return killed;
    });
    expect(kills).toBeGreaterThan(0);
  });

  test('has a volume of a snapshot whole, or makes it anew', async () => {
    const { volume: first, id } = await begin();
    const deep = await freeze(first);
    const kills = await everyStep(async (step) => {
      const volume = bed.newVolume();
      const killed = await killedAt(step, 'provision', volume, deep);
      if (killed) await bed.store.provision({ volume, labels: bed.labels, owner, snapshotId: deep });
      expect(await bed.run(volume, 'cat state; ls')).toBe(now);
      await bed.volumes.remove(volume);
      return killed;
    });
    await bed.volumes.remove(first);
    expect(await shows(id)).toBe(old);
    expect(kills).toBeGreaterThan(0);
  });

  test('collects no more than nothing needs, and all of it by the second time', async () => {
    const kills = await everyStep(async (step) => {
      const { volume, id } = await begin();
      const kept = await freeze(volume);
      await bed.volumes.remove(volume);
      const other = await begin();
      await bed.volumes.remove(other.volume);
      const killed = await killedAt(step, 'collect', kept);
      const keep = async (): Promise<ReadonlySet<string>> => new Set([kept]);
      await bed.store.collect(keep);
      expect(await shows(kept)).toBe(now);
      expect((await bed.store.verify(kept)).id).toBe(kept);
      expect([await bed.store.has(id), await bed.store.has(other.id)]).toEqual([false, false]);
      await bed.store.settle();
      await bed.store.collect(keep);
      const left = (await bed.layers.list()).map(({ name }) => name).toSorted();
      expect(await bed.store.collect(keep)).toEqual({ snapshots: 0, layers: 0, bytes: 0, unknown: [] });
      expect((await bed.layers.list()).map(({ name }) => name).toSorted()).toEqual(left);
      return killed;
    });
    expect(kills).toBeGreaterThan(0);
  });
});
