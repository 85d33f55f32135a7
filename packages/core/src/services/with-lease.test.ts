import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LeaseDesk, leaseLost, leaseWith, ownProcess, session } from '../../test/leases.ts';
import { taskId } from '../../test/records.ts';
import { call, proof, taskWith } from '../../test/task.ts';
import { isId } from '../domain/ids.ts';
import type { AcquireLease } from '../ports/lease-store.ts';
import { type LeasedWork, assertHere, withLease } from './with-lease.ts';

const ofSession = { sessionId: session.id, sandbox: false };
const ownLease = { sandbox: false };
const task = taskWith();

describe('withLease', () => {
  let desk: LeaseDesk;
  beforeEach(() => {
    desk = new LeaseDesk();
    vi.useFakeTimers();
  });
  afterEach(() => vi.useRealTimers());

  const run = <T>(
    work: (leased: LeasedWork) => Promise<T>,
    options: Parameters<typeof withLease>[2] = ofSession,
    by = call,
  ) => withLease(desk.kernel, task, options, by, work);
  /** Work that ends when the signal tells it to, or after so many milliseconds. */
  const lasting = (ms: number) => (leased: LeasedWork) =>
    new Promise<string>((resolve, reject) => {
      setTimeout(() => resolve('done'), ms);
      leased.signal.addEventListener('abort', () => reject(new Error('the work noticed')));
    });

  test('gives the work the proof and session, nothing recovered and no notices', async () => {
    const leased = await run(async (each) => each);
    expect(leased).toMatchObject({ proof, session, recovered: [], notices: [] });
    expect(leased.signal.aborted).toBe(false);
    expect(desk.asked).toEqual([]);
  });

  test('takes a lease of its own for half a minute, in the name of who calls, and gives it back', async () => {
    const by = { ...call, actor: { ...call.actor, agent: 'build', model: 'm1' } };
    await run(async () => undefined, ownLease, by);
    const [request] = desk.of('acquire') as [AcquireLease];
    expect(request).toMatchObject({
      mode: 'exclusive',
      maxAgents: 1,
      ttlMs: 30_000,
      takeover: false,
      correlationId: 'call 1',
    });
    expect(request.session).toMatchObject({
      taskId,
      agent: 'build',
      model: 'm1',
      ephemeral: true,
      process: ownProcess,
    });
    expect(isId('session', request.session.id) && isId('lease', request.session.leaseId)).toBe(true);
    expect(desk.asked.map(([name]) => name)).toEqual(['acquire', 'touch', 'release', 'touch']);
    const { id: leaseId, sessionId } = desk.lease;
    const end = { reason: 'done', actor: by.actor, correlationId: 'call 1' };
    expect(desk.of('release')).toEqual([{ by: { ...proof, leaseId, sessionId }, end }]);
    expect(desk.of('touch')).toEqual([taskId, taskId]);
  });

  test('takes over only when asked, under no correlation when the call has none', async () => {
    await run(async () => undefined, { ...ownLease, takeover: true }, { actor: call.actor });
    expect(desk.of('acquire')).toMatchObject([{ takeover: true, correlationId: null }]);
    expect(desk.of('release')).toMatchObject([{ end: { correlationId: null } }]);
  });

  test('a lease that cannot be given back does not hide what the work gave', async () => {
    desk.releasing = async () => Promise.reject(new Error('store away'));
    expect(await run(async () => 'worth having', ownLease)).toBe('worth having');
    expect(desk.warnings).toEqual([
      ['Lease was not released and will expire', { leaseId: desk.lease.id, error: 'Error: store away' }],
    ]);
  });

  test.each([
    ['fresh', leaseWith({ renewedAt: '2026-11-20T08:59:45.000Z' }), 0],
    ['aged', leaseWith({ renewedAt: '2026-11-20T08:59:44.999Z' }), 1],
    ['aged and pending', leaseWith({ renewedAt: '2026-11-20T08:00:00.000Z', state: 'pending' }), 0],
  ])('renews at once a lease that is %s: %#', async (_what, lease, times) => {
    desk.lease = lease;
    await run(async () => undefined);
    expect(desk.of('renew')).toHaveLength(times);
  });

  test('renews three times in the life of the lease while the work lasts, and not after it', async () => {
    const work = run(lasting(61_000));
    await vi.advanceTimersByTimeAsync(19_999);
    expect(desk.of('renew')).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(desk.of('renew')).toEqual([proof]);
    await vi.advanceTimersByTimeAsync(41_000);
    expect(await work).toBe('done');
    expect(desk.of('renew')).toHaveLength(3);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('renews a very short lease four times a second at most', async () => {
    desk.lease = leaseWith({ ttlMs: 30, renewedAt: '2026-11-20T09:00:00.000Z' });
    const work = run(lasting(1_001));
    await vi.advanceTimersByTimeAsync(1_001);
    await work;
    expect(desk.of('renew')).toHaveLength(4);
  });

  test('aborts the work when the lease is lost, and says that instead of what the work made of it', async () => {
    desk.renewals = [async () => Promise.reject(leaseLost())];
    const outcome = run(lasting(60_000)).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(await outcome).toMatchObject({ code: 'OCT_LEASE_LOST', message: 'taken over' });
  });

  test('goes on when one renewal fails for another reason', async () => {
    desk.renewals = [async () => Promise.reject(new Error('busy'))];
    const work = run(lasting(45_000));
    await vi.advanceTimersByTimeAsync(45_000);
    expect(await work).toBe('done');
    expect(desk.of('renew')).toHaveLength(2);
    expect(desk.warnings).toEqual([['Lease could not be renewed; trying again', { leaseId: proof.leaseId }]]);
  });

  test('a caller who gives up aborts the work, whose own failure stands', async () => {
    const given = new AbortController();
    const outcome = run(lasting(60_000), ofSession, { ...call, signal: given.signal }).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(1);
    given.abort(new Error('enough'));
    expect(await outcome).toMatchObject({ message: 'the work noticed' });
  });

  test('a failure of the work is its own, whatever it is about', async () => {
    await expect(run(async () => Promise.reject(leaseLost()))).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
    await expect(run(async () => Promise.reject(new Error('own')))).rejects.toThrow('own');
  });

  test('passes the barrier first where the sandbox is touched, and not where rows are', async () => {
    desk.lease = leaseWith({ state: 'pending' });
    desk.active = [desk.lease];
    await run(async () => void desk.asked.push(['work']), { ...ofSession, sandbox: true });
    expect(desk.asked.map(([name]) => name)).toEqual(['fence', 'confirm', 'work']);
    desk.asked.splice(0);
    await run(async () => void desk.asked.push(['work']));
    expect(desk.asked.map(([name]) => name)).toEqual(['work']);
  });

  test('refuses a session of another task, naming it', async () => {
    const other = taskWith({ id: 'tsk_00000000000000000000000009' });
    await expect(withLease(desk.kernel, other, ofSession, call, async () => undefined)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      message: `Session ${session.id} is attached to another task, ${taskId}`,
      remedy: 'Pass the session id that attaching to this task returned.',
      details: { argument: 'sessionId', taskId },
    });
  });

  test('a sandbox is only with its own home', async () => {
    const elsewhere = taskWith({ homeId: 'hom_00000000000000000000000009' });
    const refused = {
      code: 'OCT_TASK_ON_OTHER_HOST',
      message: `The sandbox of ${taskId} is with home ${elsewhere.homeId}`,
      details: { taskId, homeId: elsewhere.homeId },
    };
    expect(() => assertHere(desk.kernel, elsewhere)).toThrow(expect.objectContaining(refused));
    const work = async (): Promise<string> => 'rows';
    await expect(withLease(desk.kernel, elsewhere, { ...ofSession, sandbox: true }, call, work)).rejects.toMatchObject(
      refused,
    );
    expect(await withLease(desk.kernel, elsewhere, ofSession, call, work)).toBe('rows');
  });
});
