import { conflictStrategies } from '@opencode-tools/core';
import { testSeed } from '@opencode-tools/testkit';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { historyFaults } from './check-history.ts';
import { type CoordinationHome, callOf, openCoordinationHome } from './coordination-home.ts';
import {
  AskClaim,
  Attach,
  Detach,
  PassTime,
  Real,
  ReleaseClaims,
  Renew,
  SetTodo,
  Stop,
} from './coordination-commands.ts';
import { Model, worlds } from './coordination-model.ts';

/** `OPENCODE_TOOLS_MODEL_RUNS` for a long run, with another `OPENCODE_TOOLS_SEED` each time. */
const runs = Number(process.env['OPENCODE_TOOLS_MODEL_RUNS'] ?? 150);
const seed = testSeed();

const slots = fc.nat({ max: 3 });
const someGlobs = fc.uniqueArray(fc.constantFrom(...Object.keys(worlds)), { minLength: 1, maxLength: 2 });
const globs = fc.oneof(
  fc.record({ write: someGlobs, read: fc.constant([]) }),
  fc.record({ write: fc.constant([]), read: someGlobs }),
  fc.record({ write: someGlobs, read: someGlobs }),
);
const fields = fc.record(
  { state: fc.constantFrom('open', 'active', 'done'), text: fc.constantFrom('begin', 'middle', 'end') },
  { requiredKeys: [] },
);
const ttls = fc.constantFrom(10_000, 60_000, 600_000);
const setUp = fc.record({
  leaseMode: fc.constantFrom('exclusive', 'collaborative', 'collaborative'),
  maxAgents: fc.integer({ min: 2, max: 4 }),
  conflictStrategy: fc.constantFrom(...conflictStrategies),
});

const attaches = fc
  .tuple(slots, ttls, fc.integer({ min: 0, max: 9 }), fc.option(globs))
  .map(([slot, ttl, chance, wanted]) => new Attach(slot, ttl, chance === 0, wanted));
const commands = fc.commands(
  [
    attaches,
    attaches,
    slots.map((slot) => new Renew(slot)),
    fc.tuple(slots, globs).map(([slot, wanted]) => new AskClaim(slot, wanted)),
    slots.map((slot) => new ReleaseClaims(slot)),
    fc.tuple(slots, fc.nat({ max: 2 }), fields).map(([slot, seen, change]) => new SetTodo(slot, seen, change)),
    slots.map((slot) => new Detach(slot)),
    fc.constantFrom(1_000, 5_000, 20_000, 90_000).map((ms) => new PassTime(ms)),
    fc.constant(new Stop()),
  ],
  { maxCommands: 25, size: 'max' },
);

describe(`coordination of one task by two processes (seed ${seed})`, () => {
  let home: CoordinationHome;
  beforeAll(async () => {
    home = await openCoordinationHome();
  });
  afterAll(() => home.close());

  const faultsOf = async (taskId: Real['task']['id']): Promise<readonly string[]> => {
    const { ledger } = home.stores[0];
    const { broken } = await ledger.verify(taskId);
    const faults = historyFaults(await ledger.read(taskId, { limit: 10_000 }));
    return broken === null ? faults : [...faults, JSON.stringify(broken)];
  };
  const newReal = async (change: Partial<Real['task']>): Promise<Real> => {
    const task = await home.create(change);
    const todo = await home.services[0].journal.addTodo(task.id, { text: 'begin' }, callOf('founder'));
    return new Real(home, task, todo);
  };

  test('leases, claims, todos and status are those of the model after every step', async () => {
    await fc.assert(
      fc.asyncProperty(setUp, commands, async (change, steps) => {
        const real = await newReal(change);
        const model = new Model(real.task, home.clock.nowMs());
        model.lastToken = 1;
        await fc.asyncModelRun(() => ({ model, real }), steps);
        expect(await faultsOf(real.task.id)).toEqual([]);
      }),
      { numRuns: runs, seed, endOnFailure: false, interruptAfterTimeLimit: 3_600_000 },
    );
  }, 3_600_000);

  test('whatever is asked for at once, the history keeps every promise', async () => {
    const burst = fc.array(fc.tuple(slots, fc.nat({ max: 6 }), globs), { minLength: 4, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(setUp, fc.array(burst, { minLength: 1, maxLength: 3 }), async (change, bursts) => {
        const real = await newReal(change);
        for (const actions of bursts) {
          await Promise.allSettled(actions.map(([slot, kind, wanted]) => act(real, slot, kind, wanted)));
          home.clock.move(7_000);
        }
        expect(await faultsOf(real.task.id)).toEqual([]);
      }),
      { numRuns: Math.ceil(runs / 3), seed, interruptAfterTimeLimit: 3_600_000 },
    );
  }, 3_600_000);
});

async function act(
  real: Real,
  slot: number,
  kind: number,
  claims: { readonly read: readonly string[]; readonly write: readonly string[] },
): Promise<void> {
  const { sessions, journal, tasks } = real.services(slot);
  const { task, todo } = real;
  const session = real.sessions[slot];
  const call = callOf(`agent-${slot}`);
  if (kind === 0) await tasks.stop(task.id, {}, call);
  else if (session === undefined || kind === 1) {
    const options = { agent: `agent-${slot}`, ttlMs: 10_000, takeover: kind === 1, ...(kind > 3 ? { claims } : {}) };
    real.sessions[slot] = (await sessions.attach(task.id, options, call)).session;
  } else if (kind === 2) await sessions.detach(session.id, {}, call);
  else if (kind === 3) await sessions.releaseClaims(session.id, {}, call);
  else if (kind === 4) await journal.setTodo(task.id, todo.id, { text: `by ${slot}`, sessionId: session.id }, call);
  else await sessions.claim(session.id, claims, call);
}
