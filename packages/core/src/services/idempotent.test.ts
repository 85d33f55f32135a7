import { describe, expect, test } from 'vitest';
import { kernelOver } from '../../test/kernel.ts';
import { taskId } from '../../test/records.ts';
import { call } from '../../test/task.ts';
import type { JsonObject } from '../domain/json.ts';
import type { OperationId } from '../domain/ids.ts';
import type { Operation, OperationKind, OperationState } from '../domain/operation.ts';
import type { Change, IdempotencyEntry } from '../ports/task-store.ts';
import { type AfterCrash, type IdempotencyKey, idempotent } from './idempotent.ts';

const operationId: OperationId = 'opn_00000000000000000000000001';
const owner: Operation['owner'] = { hostId: 'host', bootId: 'boot', pid: 7, startedAt: '1' };
const keyed = { ...call, idempotencyKey: ' key 1 ' };

/** The two reads that `idempotent` makes, over what the work stored. */
class Rows {
  readonly entries = new Map<string, IdempotencyEntry>();
  readonly operations = new Map<OperationId, Operation>();
  runs = 0;
  ownerAlive = true;

  readonly kernel = kernelOver({
    processes: { self: () => owner, isAlive: () => this.ownerAlive },
    tasks: {
      findIdempotency: async (key) => this.entries.get(key),
      findOperation: async (id) => this.operations.get(id),
    },
  });

  store({ idempotency }: Pick<Change, 'idempotency'>): void {
    if (idempotency !== undefined) this.entries.set(idempotency.key, idempotency);
  }

  operation(state: OperationState, kind: OperationKind = 'checkpoint', outcome: JsonObject | null = null): void {
    this.operations.set(operationId, {
      id: operationId,
      kind,
      outcome,
      taskId,
      state,
      owner,
      proof: null,
    } as Operation);
  }

  run(
    args: JsonObject,
    work: (key: IdempotencyKey) => unknown = (key) => this.#finish(key),
    verb = 'exec',
    by = keyed,
    again: AfterCrash<unknown> = {},
  ) {
    return idempotent(
      this.kernel,
      by,
      verb,
      args,
      async (key) => {
        this.runs += 1;
        return work(key);
      },
      again,
    );
  }

  #finish(key: IdempotencyKey): JsonObject {
    const result = { run: this.runs };
    this.store(key.finished(result, operationId));
    return result;
  }
}

describe('idempotent', () => {
  test('runs every call without a key, and gives it nothing to store but the epoch that it began in', async () => {
    let epoch = 3;
    const kernel = kernelOver({
      tasks: {
        get epoch() {
          return epoch;
        },
      },
    });
    const parts: unknown[] = [];
    for (const run of [1, 2]) {
      const result = await idempotent(kernel, call, 'exec', {}, async (key) => {
        epoch = 4;
        parts.push(key.started(operationId), key.finished({ run }));
        return run;
      });
      expect(result).toBe(run);
    }
    expect(parts).toEqual([{ epoch: 3 }, { epoch: 3 }, { epoch: 4 }, { epoch: 4 }]);
  });

  test('runs a keyed call once and gives its result again, however the arguments are ordered', async () => {
    const rows = new Rows();
    expect(await rows.run({ a: 1, b: 2 })).toEqual({ run: 1 });
    expect(await rows.run({ b: 2, a: 1 })).toEqual({ run: 1 });
    expect(rows.runs).toBe(1);
    expect([...rows.entries.keys()]).toEqual(['key 1']);
  });

  test.each([
    ['other arguments', { a: 2 }, 'exec'],
    ['another verb', { a: 1 }, 'create'],
  ])('refuses the key for %s', async (_what, args, verb) => {
    const rows = new Rows();
    await rows.run({ a: 1 });
    await expect(rows.run(args, undefined, verb)).rejects.toMatchObject({
      code: 'OCT_IDEMPOTENCY_MISMATCH',
      details: { key: 'key 1', verb: 'exec' },
    });
    expect(rows.runs).toBe(1);
  });

  test('keeps a digest of the arguments and not the arguments', async () => {
    const rows = new Rows();
    await rows.run({ secret: 'hunter2' });
    expect(JSON.stringify([...rows.entries.values()])).not.toContain('hunter2');
    expect(rows.entries.get('key 1')?.argumentsDigest).toMatch(/^[0-9a-f]{64}$/);
  });

  test('tells a call whose first run is under way which operation that is', async () => {
    const rows = new Rows();
    rows.operation('open');
    await rows.run({}, (key) => rows.store(key.started(operationId)));
    expect(rows.entries.get('key 1')).toMatchObject({ operationId, result: null });
    await expect(rows.run({})).rejects.toMatchObject({
      code: 'OCT_VERSION_CONFLICT',
      details: { key: 'key 1', operationId, taskId },
    });
    expect(rows.runs).toBe(1);
  });

  test('runs again when the process of the first run is gone, though nobody has settled its operation yet', async () => {
    const rows = new Rows();
    rows.operation('open');
    await rows.run({}, (key) => rows.store(key.started(operationId)));
    rows.ownerAlive = false;
    expect(await rows.run({})).toEqual({ run: 2 });
  });

  test.each(['failed', 'interrupted'] as const)('runs again after a first run that %s', async (state) => {
    const rows = new Rows();
    rows.operation(state);
    await rows.run({}, (key) => rows.store(key.started(operationId)));
    expect(await rows.run({})).toEqual({ run: 2 });
    expect(await rows.run({})).toEqual({ run: 2 });
    expect(rows.runs).toBe(2);
  });

  test('settles what a dead process left open, and gives what came of it instead of running again', async () => {
    const rows = new Rows();
    rows.operation('open', 'execution');
    await rows.run({}, (key) => rows.store(key.started(operationId)));
    rows.ownerAlive = false;
    const settle = async () => rows.operation('interrupted', 'execution');
    const given = async ({ state }: Operation) => ({ state });
    const again = rows.run({}, undefined, 'exec', keyed, { settle, given });
    expect(await again).toEqual({ state: 'interrupted' });
    expect(rows.runs).toBe(1);
  });

  test('gives the result that came while the operation was being settled', async () => {
    const rows = new Rows();
    rows.operation('open', 'execution');
    await rows.run({}, (key) => rows.store(key.started(operationId)));
    rows.ownerAlive = false;
    const settle = async () => void (await rows.run({}, undefined, 'exec', { ...keyed, idempotencyKey: 'other' }));
    const finish = async () => {
      await settle();
      const made = rows.entries.get('other');
      if (made !== undefined) rows.store({ idempotency: { ...made, key: 'key 1' } });
    };
    expect(await rows.run({}, undefined, 'exec', keyed, { settle: finish })).toEqual({ run: 2 });
  });

  test.each([
    ['work', 'completed', { recovered: true, summary: 'the work had come whole' }],
    ['file', 'completed', { recovered: true, summary: 'it was done' }],
    ['file', 'interrupted', { recovered: true, effect: 'unknown', summary: 'it is not known' }],
  ] as const)('refuses a %s that recovery found %s with an effect: %o', async (kind, state, outcome) => {
    const rows = new Rows();
    rows.operation(state, kind, outcome);
    await rows.run({}, (key) => rows.store(key.started(operationId)));
    await expect(rows.run({})).rejects.toMatchObject({
      code: 'OCT_IDEMPOTENCY_MISMATCH',
      message: expect.stringContaining(outcome.summary) as string,
      remedy: expect.stringContaining('new key') as string,
      details: { key: 'key 1', operationId },
    });
    expect(rows.runs).toBe(1);
  });

  test.each([
    ['work', 'completed', { applied: false }],
    ['work', 'interrupted', { recovered: true, summary: 'as it was before' }],
    ['file', 'interrupted', { recovered: true, summary: 'it was not done' }],
  ] as const)('runs a %s again that %s without an effect: %o', async (kind, state, outcome) => {
    const rows = new Rows();
    rows.operation(state, kind, outcome);
    await rows.run({}, (key) => rows.store(key.started(operationId)));
    expect(await rows.run({})).toEqual({ run: 2 });
  });

  test('runs again when the first run threw before it stored anything', async () => {
    const rows = new Rows();
    const failing = rows.run({}, () => {
      throw new Error('engine down');
    });
    await expect(failing).rejects.toThrow('engine down');
    expect(await rows.run({})).toEqual({ run: 2 });
  });

  test.each(['', ' ', 'a\nb', 'k'.repeat(201)])('refuses the key %j before anything runs', async (idempotencyKey) => {
    const rows = new Rows();
    await expect(rows.run({}, undefined, 'exec', { ...call, idempotencyKey })).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      details: { argument: 'idempotencyKey' },
    });
    expect(rows.runs).toBe(0);
  });
});
