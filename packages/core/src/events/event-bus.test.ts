import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type LedgerRecord, type ReadRecords, type StoredRecord, type StreamId, silentLogger } from '../index.ts';
import { chainOf, taskId } from '../../test/records.ts';
import { createEventBus } from './event-bus.ts';
import type { DeadLetter } from './event.ts';
import { deadLetterRecord } from './dead-letters.ts';

const other: StreamId = 'tsk_00000000000000000000000002';
const actor = { kind: 'system', id: 'test', agent: null, model: null, session: null, onBehalfOf: null } as const;

function records(stream: StreamId, count: number, type = 'note.added'): readonly StoredRecord[] {
  return chainOf(Array.from({ length: count }, () => ({ stream, type: type as 'note.added', actor, puts: [] })));
}

/** A bus over chains kept in memory, with the dead letters that it recorded. */
function busOver(chains: Readonly<Record<string, readonly StoredRecord[]>> = {}) {
  const letters: DeadLetter[] = [];
  const reads: ReadRecords[] = [];
  const bus = createEventBus({
    ledger: {
      read: async (stream, options = {}) => {
        reads.push(options);
        const { afterSeq = 0, limit = 100 } = options;
        return (chains[stream] ?? []).filter(({ seq }) => seq > afterSeq).slice(0, limit);
      },
    },
    logger: silentLogger,
    onDeadLetter: async (letter) => void letters.push(letter),
  });
  return { bus, letters, reads };
}

const seqs = (events: readonly LedgerRecord[]): readonly number[] => events.map(({ seq }) => seq);

describe('the event bus', () => {
  test.each([
    ['*', ['task.started', 'task.completed', 'execution.completed']],
    ['task.*', ['task.started', 'task.completed']],
    ['*.completed', ['task.completed', 'execution.completed']],
    ['execution.completed', ['execution.completed']],
    [
      ['task.started', 'execution.*'],
      ['task.started', 'execution.completed'],
    ],
  ])('delivers to %j what fits it', async (pattern, expected) => {
    const { bus } = busOver();
    const seen: string[] = [];
    bus.subscribe({ pattern }, (event) => void seen.push(event.type));
    const types = ['task.started', 'task.completed', 'execution.completed'] as const;
    bus.publish(chainOf(types.map((type) => ({ stream: taskId, type, actor, puts: [] }))));
    await bus.drain();
    expect(seen).toEqual(expected);
  });

  test('refuses what is no pattern', () => {
    expect(() => busOver().bus.subscribe({ pattern: 'ta*' }, () => undefined)).toThrow('Not a pattern');
  });

  test('misses nothing of a stream that went on elsewhere while ten thousand others came between', async () => {
    const streams = Array.from({ length: 10_050 }, (_, index): StreamId => `tsk_${String(index).padStart(26, '0')}`);
    const [first, hot] = streams as [StreamId, StreamId];
    const chains = { [first]: records(first, 4), [hot]: records(hot, streams.length) };
    const { bus, reads } = busOver(chains);
    const seen: string[] = [];
    bus.subscribe({}, ({ stream, seq }) => void (stream === first && seen.push(String(seq))));
    for (const [index, stream] of streams.entries()) {
      bus.publish((chains[stream] ?? records(stream, 1)).slice(0, 1));
      // The one that something happens on all the time is never the one to go.
      if (index > 1) bus.publish(chains[hot]?.slice(index - 1, index) ?? []);
      if (index % 500 === 0) await bus.drain();
    }
    await bus.drain();
    expect(reads).toEqual([]);
    bus.publish(chains[first]?.slice(3) ?? []);
    await bus.drain();
    expect(seen).toEqual(['1', '2', '3', '4']);
  });

  test('never delivers while it publishes', () => {
    const { bus } = busOver();
    let called = false;
    bus.subscribe({}, () => void (called = true));
    bus.publish(records(taskId, 1));
    expect(called).toBe(false);
  });

  test('keeps the order of a stream also when handlers take their time', async () => {
    const { bus } = busOver();
    const seen: number[] = [];
    bus.subscribe({}, async ({ seq }) => {
      if (seq % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
      seen.push(seq);
    });
    bus.publish(records(taskId, 50));
    await bus.drain();
    expect(seen).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
  });

  test('a handler that hangs holds up neither other streams nor other handlers', async () => {
    const { bus } = busOver();
    const free: string[] = [];
    const own: string[] = [];
    bus.subscribe({ name: 'hangs' }, ({ stream }) =>
      stream === taskId ? new Promise(() => undefined) : void own.push(stream),
    );
    bus.subscribe({ name: 'free' }, ({ stream }) => void free.push(stream));
    bus.publish([...records(taskId, 2), ...records(other, 1)]);
    await new Promise((resolve) => setImmediate(resolve));
    expect({ free, own }).toEqual({ free: [taskId, taskId, other], own: [other] });
    await bus.close({ limitMs: 0 });
  });

  test('calls a failing handler again, then records a dead letter and goes on with the next event', async () => {
    const { bus, letters } = busOver();
    const tries: number[] = [];
    bus.subscribe({ name: 'moody', attempts: 3, backoffMs: 1 }, ({ seq }, { attempt }) => {
      tries.push(seq * 10 + attempt);
      if (seq === 2) throw new Error('not this one');
    });
    bus.publish(records(taskId, 3));
    await bus.drain();
    expect(tries).toEqual([11, 21, 22, 23, 31]);
    expect(letters.map(({ event, subscription, attempts }) => [event.seq, subscription, attempts])).toEqual([
      [2, 'moody', 3],
    ]);
  });

  test('a handler that succeeds on a later try has taken the event', async () => {
    const { bus, letters } = busOver();
    bus.subscribe({ backoffMs: 0 }, async (_event, { attempt }) => {
      if (attempt < 3) throw new Error('not yet');
    });
    bus.publish(records(taskId, 1));
    await bus.drain();
    expect(letters).toEqual([]);
  });

  test('a dead letter about a dead letter is never written', async () => {
    const { bus, letters } = busOver();
    bus.subscribe({ attempts: 1 }, () => Promise.reject(new Error('no')));
    bus.publish(records('home', 1, 'event.dead_lettered'));
    await bus.drain();
    expect(letters).toEqual([]);
  });

  test('the record of a dead letter says which event, which handler and why', () => {
    const [event] = records(taskId, 1);
    const draft = deadLetterRecord({ subscription: 's', event: event!, attempts: 5, error: new Error('no disk') });
    expect(draft).toMatchObject({
      stream: 'home',
      type: 'event.dead_lettered',
      causationId: `${taskId}/1`,
      detail: {
        subscription: 's',
        stream: taskId,
        seq: 1,
        type: 'note.added',
        attempts: 5,
        message: expect.stringContaining('no disk'),
      },
    });
  });

  test('middleware wraps every delivery, the first added outermost, and may make one fail', async () => {
    const { bus, letters } = busOver();
    const steps: string[] = [];
    bus.use(async ({ event }, next) => {
      steps.push(`outer ${event.seq}`);
      await next();
      steps.push('outer done');
    });
    bus.use(async ({ event }, next) => {
      if (event.seq === 2) throw new Error('stopped by a layer');
      await next();
    });
    bus.subscribe({ attempts: 1 }, ({ seq }) => void steps.push(`handler ${seq}`));
    bus.publish(records(taskId, 2));
    await bus.drain();
    expect(steps).toEqual(['outer 1', 'handler 1', 'outer done', 'outer 2']);
    expect(letters).toHaveLength(1);
  });

  test('a delivery carries what ties its consequences to it', async () => {
    const { bus } = busOver();
    let causation = '';
    bus.subscribe({}, (_event, delivery) => void (causation = delivery.causationId));
    bus.publish(records(taskId, 1));
    await bus.drain();
    expect(causation).toBe(`${taskId}/1`);
  });

  test('reads from the ledger what other processes wrote in between, and drops what it has delivered', async () => {
    const chain = records(taskId, 9);
    const { bus } = busOver({ [taskId]: chain });
    const seen: LedgerRecord[] = [];
    bus.subscribe({}, (event) => void seen.push(event));
    bus.publish(chain.slice(2, 4));
    bus.publish(chain.slice(7, 8));
    bus.publish(chain.slice(6, 9));
    bus.publish(chain.slice(3, 5));
    await bus.drain();
    expect(seqs(seen)).toEqual([3, 4, 5, 6, 7, 8, 9]);
  });

  test('keeps a bounded number of events and reads the rest from the ledger in time', async () => {
    const chain = records(taskId, 2_000);
    const { bus, reads } = busOver({ [taskId]: chain });
    const seen: LedgerRecord[] = [];
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    bus.subscribe({ maxPending: 10 }, async (event) => {
      await gate;
      seen.push(event);
    });
    for (const record of chain) bus.publish([record]);
    expect(reads).toHaveLength(0);
    open();
    await bus.drain();
    expect(seqs(seen)).toEqual(seqs(chain));
  });

  test('a subscription can begin in the past of a stream and goes on with what comes', async () => {
    const chain = records(taskId, 1_203);
    const { bus } = busOver({ [taskId]: chain.slice(0, 1_200) });
    const seen: LedgerRecord[] = [];
    bus.subscribe({ stream: taskId, afterSeq: 5 }, (event) => void seen.push(event));
    await bus.drain();
    bus.publish(records(other, 3));
    bus.publish(chain.slice(1_200));
    await bus.drain();
    expect(seqs(seen)).toEqual(Array.from({ length: 1_198 }, (_, index) => index + 6));
  });

  test('replays a stream from its ledger', async () => {
    const chain = records(taskId, 1_100);
    const seen: number[] = [];
    for await (const record of busOver({ [taskId]: chain }).bus.replay(taskId, { afterSeq: 99 })) seen.push(record.seq);
    expect([seen.length, seen[0], seen.at(-1)]).toEqual([1_001, 100, 1_100]);
  });

  test('closing handles what waits without pausing between tries, and takes no more', async () => {
    const { bus, letters } = busOver();
    const seen: number[] = [];
    bus.subscribe({ attempts: 2, backoffMs: 60_000 }, ({ seq }) => {
      seen.push(seq);
      if (seq === 1) throw new Error('never');
    });
    bus.publish(records(taskId, 2));
    await bus.close();
    bus.publish(records(other, 1));
    expect(seen).toEqual([1, 1, 2]);
    expect(letters).toHaveLength(1);
    expect(bus.listening).toBe(false);
  });

  test('closing gives up a ledger that cannot be read, after as many tries as a handler gets', async () => {
    const failed = Promise.withResolvers<void>();
    let reads = 0;
    const bus = createEventBus({
      ledger: {
        read: async () => {
          reads += 1;
          failed.resolve();
          // The event loop must not depend on the fault.
          if (reads > 100) return [];
          throw new Error('the disk is gone');
        },
      },
      logger: silentLogger,
      onDeadLetter: async () => undefined,
    });
    bus.subscribe({ stream: taskId, afterSeq: 0, attempts: 3 }, () => undefined);
    await failed.promise;
    await bus.close();
    expect(reads).toBe(3);
  });

  test('closing gives up a handler that hangs, and tells it', async () => {
    const { bus } = busOver();
    let aborted = false;
    bus.subscribe({}, async (_event, { signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      aborted = true;
    });
    bus.publish(records(taskId, 1));
    await bus.close({ limitMs: 1 });
    await new Promise((resolve) => setImmediate(resolve));
    expect(aborted).toBe(true);
  });

  test('an ended subscription hears nothing more', async () => {
    const { bus } = busOver();
    const seen: number[] = [];
    const stop = bus.subscribe({}, ({ seq }) => void seen.push(seq));
    bus.publish(records(taskId, 1));
    await bus.drain();
    stop();
    bus.publish(records(other, 1));
    expect(seen).toEqual([1]);
  });

  test('delivers every record of every stream in order, however publishing and failures fall', async () => {
    const batches = fc.array(fc.record({ stream: fc.nat({ max: 2 }), size: fc.nat({ max: 4 }), lost: fc.boolean() }), {
      minLength: 1,
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(
        batches,
        fc.nat({ max: 3 }),
        fc.integer({ min: 1, max: 8 }),
        async (plan, failing, maxPending) => {
          const streams = ['home', taskId, other] as const;
          const chains = Object.fromEntries(streams.map((stream) => [stream, records(stream, 60)]));
          const at = new Map<StreamId, number>();
          const { bus } = busOver(chains);
          const seen = new Map<StreamId, number[]>();
          const failed = new Set<string>();
          bus.subscribe({ backoffMs: 0, maxPending }, async ({ stream, seq }) => {
            const name = `${stream}/${seq}`;
            if (failing > 0 && seq % failing === 0 && !failed.has(name)) {
              failed.add(name);
              throw new Error('once');
            }
            seen.set(stream, [...(seen.get(stream) ?? []), seq]);
          });
          for (const stream of streams) bus.publish((chains[stream] ?? []).slice(0, 1));
          for (const { stream, size, lost } of plan) {
            const name = streams[stream] ?? 'home';
            const from = at.get(name) ?? 1;
            at.set(name, from + size);
            if (!lost) bus.publish((chains[name] ?? []).slice(from, from + size));
          }
          for (const stream of streams) bus.publish((chains[stream] ?? []).slice(59));
          await bus.drain();
          for (const stream of streams)
            expect(seen.get(stream)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
        },
      ),
      { numRuns: 60 },
    );
  });
});
