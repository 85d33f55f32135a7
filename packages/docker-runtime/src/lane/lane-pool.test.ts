import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { Lane } from './lane.ts';
import { LanePool, lanesFor } from './lane-pool.ts';

function pool(most: number) {
  const lanes: Lane[] = [];
  const open = async (opened: (lane: Lane) => void): Promise<Lane> => {
    const lane = new Lane(new PassThrough());
    opened(lane);
    lanes.push(lane);
    return lane;
  };
  return { lanes, pool: new LanePool(open, most) };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Uses a lane until it is told to end, and writes its name down when it begins. */
function user(of: LanePool, name: string, seen: string[]) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const using = of.use(async () => {
    seen.push(name);
    await promise;
  });
  return { using, end: resolve };
}

describe('a pool of lanes', () => {
  test('serves those that wait in order, and nobody who comes in between', async () => {
    const { pool: one } = pool(1);
    const seen: string[] = [];
    const first = user(one, 'first', seen);
    const second = user(one, 'second', seen);
    const third = user(one, 'third', seen);
    await turn();
    first.end();
    await first.using;
    const late = user(one, 'late', seen);
    await turn();
    expect(seen).toEqual(['first', 'second']);
    for (const { end, using } of [second, third, late]) {
      end();
      await using;
    }
    expect(seen).toEqual(['first', 'second', 'third', 'late']);
  });

  test('lets go who no longer wants to wait, and gives the place to the next', async () => {
    const { pool: one } = pool(1);
    const seen: string[] = [];
    const first = user(one, 'first', seen);
    const abort = new AbortController();
    const gone = one.use(async () => void seen.push('gone'), { signal: abort.signal });
    const next = user(one, 'next', seen);
    abort.abort();
    await expect(gone).rejects.toBe(abort.signal.reason);
    first.end();
    await first.using;
    next.end();
    await next.using;
    expect(seen).toEqual(['first', 'next']);
  });

  test('opens a lane ahead for who uses them up, from the second on', async () => {
    const { pool: one, lanes } = pool(2);
    const useUp = async (): Promise<Lane> =>
      one.use(
        async (lane) => {
          lane.close();
          return lane;
        },
        { own: true },
      );
    await useUp();
    await turn();
    expect(lanes).toHaveLength(1);
    await useUp();
    await turn();
    expect(lanes).toHaveLength(3);
    expect(await useUp()).toBe(lanes[2]);
    await turn();
    expect(lanes).toHaveLength(4);
    one.close();
    expect(lanes.every(({ usable }) => !usable)).toBe(true);
  });

  test('opens none ahead once it was closed', async () => {
    const { pool: one, lanes } = pool(2);
    const end = Promise.withResolvers<void>();
    await one.use(async (lane) => lane.close(), { own: true });
    const last = one.use(async () => end.promise, { own: true });
    await turn();
    one.close();
    end.resolve();
    await last;
    await turn();
    expect(lanes).toHaveLength(2);
  });

  test('has whoever comes first wait for the lane that is opened ahead', async () => {
    const openings: PromiseWithResolvers<Lane>[] = [];
    const slow = new LanePool(async () => {
      const opening = Promise.withResolvers<Lane>();
      openings.push(opening);
      return opening.promise;
    }, 8);
    const open = (): Lane => {
      const lane = new Lane(new PassThrough());
      openings.at(-1)?.resolve(lane);
      return lane;
    };
    for (let used = 0; used < 2; used += 1) {
      const using = slow.use(async (lane) => lane.close(), { own: true });
      await turn();
      open();
      await using;
    }
    expect(openings).toHaveLength(3);
    const waiting = slow.use(async (lane) => lane, { own: true });
    const another = slow.use(async (lane) => lane, { own: true });
    await turn();
    expect(openings).toHaveLength(4);
    const last = open();
    const ahead = new Lane(new PassThrough());
    openings[2]?.resolve(ahead);
    expect(await waiting).toBe(ahead);
    expect(await another).toBe(last);
  });

  test('lends the lane of the main process to nobody who uses it up', async () => {
    const { pool: one, lanes } = pool(2);
    const first = new Lane(new PassThrough());
    one.add(first);
    expect(await one.use(async (lane) => lane, { own: true })).toBe(lanes[0]);
    expect(await one.use(async (lane) => lane, { own: true })).toBe(lanes[0]);
    expect(lanes).toHaveLength(1);
    expect(await one.useIdle(async (lane) => lane)).toBe(lanes[0]);
  });

  test('keeps a lane that opened for somebody who gave up', async () => {
    const opening = Promise.withResolvers<Lane>();
    let opened = 0;
    const slow = new LanePool(async () => {
      opened += 1;
      return opening.promise;
    }, 1);
    const abort = new AbortController();
    const gone = slow.use(async () => 'used', { signal: abort.signal });
    const next = slow.use(async (lane) => lane);
    abort.abort();
    await expect(gone).rejects.toBe(abort.signal.reason);
    const lane = new Lane(new PassThrough());
    opening.resolve(lane);
    expect(await next).toBe(lane);
    expect(opened).toBe(1);
  });

  test('does not make urgent uses wait', async () => {
    const { pool: one } = pool(1);
    const first = user(one, 'first', []);
    expect(await one.use(async () => 'done', { urgent: true })).toBe('done');
    first.end();
    await first.using;
  });

  test('closes lanes beyond the few that it keeps', async () => {
    const { pool: many, lanes } = pool(20);
    const burst = async (length: number): Promise<void> => {
      const users = Array.from({ length }, () => user(many, '', []));
      for (let turns = 0; turns < length; turns += 1) await turn();
      for (const { end } of users) end();
      await Promise.all(users.map(({ using }) => using));
    };
    await burst(20);
    expect(lanes).toHaveLength(20);
    expect(lanes.filter(({ usable }) => usable)).toHaveLength(16);
    await burst(16);
    expect(lanes).toHaveLength(20);
  });

  test('leaves processes for the commands themselves', () => {
    expect([null, 0, 16, 64, 512].map(lanesFor)).toEqual([32, 32, 8, 16, 32]);
  });

  test('opens four lanes at once; who waits for that gets a lane that is free before', async () => {
    const openings: (() => void)[] = [];
    const many = new LanePool(async () => {
      await new Promise<void>((resolve) => openings.push(resolve));
      return new Lane(new PassThrough());
    }, 8);
    const seen: string[] = [];
    const users = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => user(many, name, seen));
    await turn();
    expect(openings).toHaveLength(4);
    for (const open of openings.splice(0, 1)) open();
    await turn();
    expect([seen, openings.length]).toEqual([['a'], 4]);
    users[0]?.end();
    await turn();
    expect(seen).toEqual(['a', 'f']);
    for (const open of openings.splice(0)) open();
    for (const { end, using } of users) {
      end();
      await using;
    }
    expect(seen.toSorted()).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(openings).toEqual([]);
  });

  test('closes what is just opening, whether it can be used already or has not even come', async () => {
    const { promise: ready, resolve: come } = Promise.withResolvers<void>();
    const lanes: Lane[] = [];
    const opening = new LanePool(async (opened) => {
      if (lanes.length > 0) await ready;
      const lane = new Lane(new PassThrough());
      lanes.push(lane);
      opened(lane);
      await ready;
      return lane;
    }, 2);
    const uses = [1, 2].map(async () => opening.use(async (lane) => lane.usable));
    await turn();
    expect(lanes.map(({ usable }) => usable)).toEqual([true]);
    opening.close();
    expect(lanes.map(({ usable }) => usable)).toEqual([false]);
    come();
    expect(await Promise.all(uses)).toEqual([false, false]);
    expect(lanes.map(({ usable }) => usable)).toEqual([false, false]);
    expect(await opening.use(async (lane) => lane.usable)).toBe(true);
  });
});
