import assert from 'node:assert/strict';
import {
  type Claim,
  type Services,
  type Session,
  type Task,
  type Todo,
  type TodoState,
  isOpencodeToolsError,
} from '@opencode-tools/core';
import type * as fc from 'fast-check';
import { type CoordinationHome, callOf } from './coordination-home.ts';
import type { Model, ModelClaim } from './coordination-model.ts';

/** The real thing: one task, and the session that each slot has last had. */
export class Real {
  readonly home: CoordinationHome;
  readonly task: Task;
  readonly todo: Todo;
  readonly sessions: (Session | undefined)[] = [];

  constructor(home: CoordinationHome, task: Task, todo: Todo) {
    this.home = home;
    this.task = task;
    this.todo = todo;
  }

  /** Slots take turns in two processes. */
  services(slot: number): Services {
    return this.home.services[slot % 2 === 0 ? 0 : 1];
  }
}

type Step = fc.AsyncCommand<Model, Real>;

abstract class Command implements Step {
  check(_model: Readonly<Model>): boolean {
    return true;
  }
  abstract act(model: Model, real: Real): Promise<void>;
  async run(model: Model, real: Real): Promise<void> {
    await this.act(model, real);
    await expectSame(model, real);
  }
  abstract toString(): string;
}

export class Attach extends Command {
  readonly slot: number;
  readonly ttlMs: number;
  readonly takeover: boolean;
  readonly globs: Pick<ModelClaim, 'read' | 'write'> | null;

  constructor(slot: number, ttlMs: number, takeover: boolean, globs: Pick<ModelClaim, 'read' | 'write'> | null) {
    super();
    this.slot = slot;
    this.ttlMs = ttlMs;
    this.takeover = takeover;
    this.globs = globs;
  }
  override check(model: Readonly<Model>): boolean {
    return model.lease(this.slot) === undefined;
  }
  async act(model: Model, real: Real): Promise<void> {
    const { slot, ttlMs, takeover, globs } = this;
    const displaced = model.leases.filter((lease) => takeover || model.expired(lease));
    const free = model.leases.length - displaced.length < model.maxAgents;
    const options = { agent: `agent-${slot}`, ttlMs, takeover, ...(globs === null ? {} : { claims: globs }) };
    const asked = real.services(slot).sessions.attach(real.task.id, options, callOf(`agent-${slot}`));
    if (!free) return expectCode(asked, 'OCT_LEASE_HELD');
    model.end(displaced);
    model.leases.push({ slot, token: 0, ttlMs, renewedMs: model.nowMs });
    if (globs !== null && !model.claim({ slot, ...globs })) {
      model.end(model.leases.filter((lease) => lease.slot === slot));
      await expectCode(asked, 'OCT_CLAIM_OVERLAP');
      model.lastToken += 1;
      return;
    }
    const { lease, session } = await asked;
    assert.ok(lease.token > model.lastToken, `token ${lease.token} after ${model.lastToken}`);
    model.lastToken = lease.token;
    model.status = 'running';
    real.sessions[slot] = session;
    for (const own of model.leases) if (own.slot === slot) own.token = lease.token;
  }
  toString(): string {
    return `attach(${this.slot}, ${this.ttlMs}, ${this.takeover}, ${JSON.stringify(this.globs)})`;
  }
}

/** A verb of a session that must hold its lease. */
abstract class HeldCommand extends Command {
  readonly slot: number;
  constructor(slot: number) {
    super();
    this.slot = slot;
  }
  abstract verb(real: Real, session: Session): Promise<unknown>;
  abstract held(model: Model, real: Real, asked: Promise<unknown>): Promise<void>;
  async act(model: Model, real: Real): Promise<void> {
    const session = real.sessions[this.slot];
    if (session === undefined) return;
    const lease = model.lease(this.slot);
    const asked = this.verb(real, session);
    if (lease === undefined) return expectCode(asked, 'OCT_LEASE_LOST');
    model.touch(lease);
    await this.held(model, real, asked);
  }
}

export class Renew extends HeldCommand {
  verb = (real: Real, { id }: Session): Promise<unknown> => real.services(this.slot).sessions.renew(id);
  async held(model: Model, _real: Real, asked: Promise<unknown>): Promise<void> {
    await asked;
    const lease = model.lease(this.slot);
    if (lease !== undefined) lease.renewedMs = model.nowMs;
  }
  toString = (): string => `renew(${this.slot})`;
}

export class AskClaim extends HeldCommand {
  readonly globs: Pick<ModelClaim, 'read' | 'write'>;
  constructor(slot: number, globs: Pick<ModelClaim, 'read' | 'write'>) {
    super(slot);
    this.globs = globs;
  }
  verb = (real: Real, { id }: Session): Promise<unknown> =>
    real.services(this.slot).sessions.claim(id, this.globs, callOf(`agent-${this.slot}`));
  async held(model: Model, _real: Real, asked: Promise<unknown>): Promise<void> {
    if (model.claim({ slot: this.slot, ...this.globs })) await asked;
    else await expectCode(asked, 'OCT_CLAIM_OVERLAP');
  }
  toString = (): string => `claim(${this.slot}, ${JSON.stringify(this.globs)})`;
}

export class ReleaseClaims extends HeldCommand {
  verb = (real: Real, { id }: Session): Promise<unknown> =>
    real.services(this.slot).sessions.releaseClaims(id, {}, callOf(`agent-${this.slot}`));
  async held(model: Model, _real: Real, asked: Promise<unknown>): Promise<void> {
    await asked;
    model.claims = model.claims.filter((claim) => claim.slot !== this.slot);
  }
  toString = (): string => `releaseClaims(${this.slot})`;
}

export class SetTodo extends HeldCommand {
  readonly seen: number;
  readonly fields: { readonly state?: TodoState; readonly text?: string };
  constructor(slot: number, seen: number, fields: { readonly state?: TodoState; readonly text?: string }) {
    super(slot);
    this.seen = seen;
    this.fields = fields;
  }
  #expected = 1;
  override async act(model: Model, real: Real): Promise<void> {
    this.#expected = Math.max(1, model.todos.length - this.seen);
    await super.act(model, real);
  }
  verb = (real: Real, { id: sessionId }: Session): Promise<unknown> => {
    const change = { ...this.fields, sessionId, expectedVersion: this.#expected };
    return real.services(this.slot).journal.setTodo(real.task.id, real.todo.id, change, callOf(`agent-${this.slot}`));
  };
  async held(model: Model, _real: Real, asked: Promise<unknown>): Promise<void> {
    const current = model.todos.at(-1);
    const base = model.todos[this.#expected - 1];
    if (current === undefined || base === undefined) throw new Error('The model has lost its todo');
    const fought = (['state', 'text'] as const).some(
      (field) =>
        this.fields[field] !== undefined && base[field] !== current[field] && this.fields[field] !== current[field],
    );
    const stale = this.#expected !== current.version;
    if (stale && (model.strategy === 'reject' || (model.strategy === 'merge' && fought)))
      return expectCode(asked, 'OCT_VERSION_CONFLICT');
    await asked;
    model.todos.push({ ...current, ...this.fields, version: current.version + 1 });
  }
  toString = (): string => `setTodo(${this.slot}, ${this.seen} ago, ${JSON.stringify(this.fields)})`;
}

export class Detach extends Command {
  readonly slot: number;
  constructor(slot: number) {
    super();
    this.slot = slot;
  }
  async act(model: Model, real: Real): Promise<void> {
    const session = real.sessions[this.slot];
    if (session === undefined) return;
    const lease = model.lease(this.slot);
    await real.services(this.slot).sessions.detach(session.id, {}, callOf(`agent-${this.slot}`));
    if (lease === undefined) return;
    model.end([lease]);
    if (model.leases.length === 0 && model.status === 'running') model.status = 'suspended';
  }
  toString = (): string => `detach(${this.slot})`;
}

export class Stop extends Command {
  async act(model: Model, real: Real): Promise<void> {
    const idle = model.status === 'suspended' && model.leases.length === 0;
    await real.services(0).tasks.stop(real.task.id, {}, callOf('operator'));
    model.end(model.leases);
    model.status = 'suspended';
    if (!idle) model.lastToken += 1;
  }
  toString = (): string => 'stop';
}

export class PassTime extends Command {
  readonly ms: number;
  constructor(ms: number) {
    super();
    this.ms = ms;
  }
  async act(model: Model, real: Real): Promise<void> {
    real.home.clock.move(this.ms);
    model.nowMs += this.ms;
  }
  toString = (): string => `pass(${this.ms})`;
}

async function expectCode(asked: Promise<unknown>, code: string): Promise<void> {
  const outcome = await asked.then(
    () => 'no error',
    (error: unknown) => (isOpencodeToolsError(error) ? error.code : String(error)),
  );
  assert.equal(outcome, code);
}

/** Compares everything that can be asked with the model. */
async function expectSame(model: Model, real: Real): Promise<void> {
  const { leases, tasks } = real.home.stores[1];
  const slotOf = new Map(Array.from(real.sessions, (session, slot) => [session?.id, slot]));
  const active = await leases.listActive(real.task.id);
  assert.deepEqual(
    active.map((lease) => [slotOf.get(lease.sessionId), lease.token, lease.state]),
    model.leases.toSorted((a, b) => a.token - b.token).map((lease) => [lease.slot, lease.token, 'held']),
  );
  const line = ({ read, write }: Pick<Claim, 'read' | 'write'>, slot: number | undefined): string =>
    `${slot}: ${write.join()} | ${read.join()}`;
  const claims = await real.services(0).sessions.claims(real.task.id);
  assert.deepEqual(
    claims.map((claim) => line(claim, slotOf.get(claim.sessionId))).toSorted(),
    model.claims.map((claim) => line(claim, claim.slot)).toSorted(),
  );
  const [todo] = await tasks.listTodos(real.task.id);
  const { state, text, version } = todo ?? {};
  assert.deepEqual({ state, text, version }, model.todos.at(-1));
  assert.equal((await tasks.getTask(real.task.id)).status, model.status);
}
