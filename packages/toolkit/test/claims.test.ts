import type { Attachment, LedgerRecord, TaskId } from '@opencode-tools/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

describe('claims', () => {
  let home: EnginelessHome;
  beforeAll(async () => {
    home = await createEnginelessHome();
  });
  afterAll(() => home.remove());

  const sessions = () => home.open.services.sessions;
  const attach = (taskId: TaskId, agent: string, claims?: { read?: string[]; write?: string[] }): Promise<Attachment> =>
    sessions().attach(taskId, { agent, ...(claims === undefined ? {} : { claims }) }, callBy(agent));
  const history = async (taskId: TaskId): Promise<readonly string[]> =>
    (await home.open.services.ledger.history(taskId, { newestFirst: false, limit: 1_000 })).map(({ type }) => type);
  const detailOf = async (taskId: TaskId, type: string) => {
    const [record] = await home.open.services.ledger.history(taskId, { types: [type] });
    return (JSON.parse(record?.payload ?? '{}') as { detail: Record<string, unknown> }).detail;
  };

  it('are granted on attaching, before the task begins to run', async () => {
    const task = await home.create();
    const { claim, session } = await attach(task.id, 'ada', { write: ['./src//**'], read: ['/workspace/docs/*.md'] });
    expect(claim).toMatchObject({
      overlaps: [],
      claim: { sessionId: session.id, write: ['src/**'], read: ['docs/*.md'], state: 'active' },
    });
    const types = await history(task.id);
    expect(types.indexOf('claim.granted')).toBeLessThan(types.indexOf('task.started'));
  });

  it.each([
    ['write', 'write', true],
    ['write', 'read', true],
    ['read', 'write', true],
    ['read', 'read', false],
  ] as const)('of another session to %s meet one to %s: refused %s', async (theirs, ours, refused) => {
    const task = await home.create();
    await attach(task.id, 'ada', { [theirs]: ['src/**'] });
    const { session } = await attach(task.id, 'bob');
    const asked = sessions().claim(session.id, { [ours]: ['**/*.ts'] }, callBy('bob'));
    if (refused)
      await expect(asked).rejects.toMatchObject({
        code: 'OCT_CLAIM_OVERLAP',
        message: expect.stringMatching(
          new RegExp(`^The claim ${ours}s \\*\\*/\\*\\.ts, and ada \\(\\S+\\) ${theirs}s src/\\*\\*$`),
        ) as string,
        remedy: expect.stringMatching(/^Claim other paths than src\/\S*\.ts, or wait until ada has/) as string,
      });
    else await expect(asked).resolves.toMatchObject({ overlaps: [] });
  });

  it('that overlap are refused with both globs, the other agent and its session, and recorded', async () => {
    const task = await home.create();
    const ada = await attach(task.id, 'ada', { write: ['src/core/**'] });
    const bob = await attach(task.id, 'bob');
    const error = await sessions()
      .claim(bob.session.id, { write: ['src/*/index.ts'] }, callBy('bob'))
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'OCT_CLAIM_OVERLAP',
      message: `The claim writes src/*/index.ts, and ada (${ada.session.id}) writes src/core/**`,
      details: { overlaps: [{ kind: 'write-write', path: 'src/core/index.ts', agent: 'ada' }] },
    });
    expect(await detailOf(task.id, 'claim.conflicted')).toMatchObject({
      granted: false,
      strategy: 'reject',
      agent: 'bob',
    });
    expect(await sessions().claims(task.id)).toHaveLength(1);
  });

  it('that overlap in many places say how many', async () => {
    const task = await home.create();
    await attach(task.id, 'ada', { write: ['a', 'b', 'c'] });
    const { session } = await attach(task.id, 'bob');
    const asked = sessions().claim(session.id, { write: ['a', 'b'], read: ['c'] }, callBy('bob'));
    await expect(asked).rejects.toMatchObject({
      message: expect.stringMatching(/ \(and 2 more overlaps\)$/) as string,
    });
  });

  it('of no session, and of the session of one command, are refused', async () => {
    const absent = 'ses_00000000000000000000000000' as never;
    await expect(sessions().claim(absent, { write: ['a'] }, callBy('ada'))).rejects.toMatchObject({
      code: 'OCT_SESSION_NOT_FOUND',
      message: `No session has the id ${absent}`,
    });
    const task = await home.create();
    await home.open.services.journal.addNote(task.id, { text: 'by one command' }, callBy('ada'));
    const [ephemeral] = await sessions().list(task.id);
    await expect(sessions().claim(ephemeral!.id, { write: ['a'] }, callBy('ada'))).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      message: expect.stringContaining('sessionId: names a session of one command') as string,
      remedy: 'Attach, then claim.',
    });
  });

  it('with one key are granted once, and other claims with that key refused', async () => {
    const task = await home.create();
    const { session } = await attach(task.id, 'ada');
    const keyed = { ...callBy('ada'), idempotencyKey: 'claim-once' };
    const first = await sessions().claim(session.id, { write: ['a'] }, keyed);
    expect(await sessions().claim(session.id, { write: ['a'] }, keyed)).toEqual(first);
    expect(await sessions().claims(task.id)).toHaveLength(1);
    await expect(sessions().claim(session.id, { write: ['b'] }, keyed)).rejects.toMatchObject({
      code: 'OCT_IDEMPOTENCY_MISMATCH',
    });
  });

  it('of others stay when a session gives back its own, all of them', async () => {
    const task = await home.create();
    const ada = await attach(task.id, 'ada', { write: ['a'] });
    await sessions().claim(ada.session.id, { write: ['b'] }, callBy('ada'));
    await attach(task.id, 'bob', { write: ['c'] });
    expect(await sessions().releaseClaims(ada.session.id, {}, callBy('ada'))).toHaveLength(2);
    expect((await sessions().claims(task.id)).map(({ agent }) => agent)).toEqual(['bob']);
    const before = await history(task.id);
    expect(await sessions().releaseClaims(ada.session.id, {}, callBy('ada'))).toEqual([]);
    expect(await history(task.id)).toEqual(before);
  });

  it('are given back in the record, with the reason and in the name of the agent', async () => {
    const task = await home.create();
    const { session } = await attach(task.id, 'ada', { write: ['a'] });
    await sessions().releaseClaims(session.id, {}, callBy('somebody'));
    const [ended] = await home.open.services.ledger.history(task.id, { types: ['claim.ended'] });
    expect(ended?.actor).toMatchObject({ id: 'somebody', agent: 'ada', session: session.id });
    expect(await detailOf(task.id, 'claim.ended')).toEqual({ reason: 'released' });
  });

  it('under a lease that was lost are neither granted nor given back', async () => {
    const task = await home.create();
    const { session } = await attach(task.id, 'ada', { write: ['a'] });
    await sessions().revoke(task.id, { reason: 'test' }, callBy('operator'));
    for (const late of [
      sessions().claim(session.id, { write: ['b'] }, callBy('ada')),
      sessions().releaseClaims(session.id, {}, callBy('ada')),
    ])
      await expect(late).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
  });

  it('that overlap on attaching leave no session behind', async () => {
    const task = await home.create();
    await attach(task.id, 'ada', { write: ['**'] });
    await expect(attach(task.id, 'bob', { read: ['a'] })).rejects.toMatchObject({ code: 'OCT_CLAIM_OVERLAP' });
    const attached = (await sessions().list(task.id)).filter(({ state }) => state === 'attached');
    expect(attached.map(({ agent }) => agent)).toEqual(['ada']);
  });

  it.each(['merge', 'last-write-wins'] as const)(
    'that overlap are granted under %s, told and recorded',
    async (strategy) => {
      const task = await home.create({ conflictStrategy: strategy });
      const heard: LedgerRecord[] = [];
      const stop = home.open.events.subscribe(
        { pattern: 'claim.conflicted', stream: task.id },
        (event) => void heard.push(event),
      );
      await attach(task.id, 'ada', { write: ['a/**'] });
      const bob = await attach(task.id, 'bob', { write: ['a/b'] });
      expect(bob.claim?.overlaps).toMatchObject([{ glob: 'a/b', otherGlob: 'a/**', agent: 'ada' }]);
      expect(await detailOf(task.id, 'claim.conflicted')).toMatchObject({ granted: true, strategy });
      await home.open.events.drain();
      stop();
      expect(heard).toHaveLength(1);
    },
  );

  it('of one session never get in each other’s way', async () => {
    const task = await home.create();
    const { session } = await attach(task.id, 'ada', { write: ['src/**'] });
    await sessions().claim(session.id, { write: ['src/a'] }, callBy('ada'));
    expect(await sessions().claims(task.id)).toHaveLength(2);
  });

  it('end when released, once', async () => {
    const task = await home.create();
    const { session, claim } = await attach(task.id, 'ada', { write: ['a'] });
    await sessions().claim(session.id, { write: ['b'] }, callBy('ada'));
    const options = { claimId: claim!.claim.id };
    expect(await sessions().releaseClaims(session.id, options, callBy('ada'))).toMatchObject([
      { state: 'ended', write: ['a'] },
    ]);
    expect(await sessions().releaseClaims(session.id, options, callBy('ada'))).toEqual([]);
    expect((await sessions().claims(task.id)).map(({ write }) => write)).toEqual([['b']]);
  });

  it('end with the session', async () => {
    const task = await home.create();
    const { session } = await attach(task.id, 'ada', { write: ['a'] });
    await sessions().detach(session.id, {}, callBy('ada'));
    expect(await sessions().claims(task.id)).toEqual([]);
    expect(await history(task.id)).toContain('claim.ended');
    await expect(attach(task.id, 'bob', { write: ['a'] })).resolves.toMatchObject({ claim: { overlaps: [] } });
  });

  it('end when the task is taken over, or stopped', async () => {
    const task = await home.create();
    await attach(task.id, 'ada', { write: ['a'] });
    const bob = await sessions().attach(
      task.id,
      { agent: 'bob', takeover: true, claims: { write: ['a'] } },
      callBy('bob'),
    );
    expect((await sessions().claims(task.id)).map(({ sessionId }) => sessionId)).toEqual([bob.session.id]);
    await home.open.services.tasks.stop(task.id, {}, callBy('operator'));
    expect(await sessions().claims(task.id)).toEqual([]);
  });

  it('of an expired lease make way for whoever needs the place, though nobody attached meanwhile', async () => {
    const task = await home.create();
    const bob = await sessions().attach(task.id, { agent: 'bob', ttlMs: 3_600_000 }, callBy('bob'));
    const ada = await sessions().attach(
      task.id,
      { agent: 'ada', ttlMs: 1_000, claims: { write: ['a', 'x'] } },
      callBy('ada'),
    );
    await sessions().claim(ada.session.id, { write: ['elsewhere'] }, callBy('ada'));
    home.clock.move(2_000);
    await expect(sessions().claim(bob.session.id, { write: ['a'] }, callBy('bob'))).resolves.toMatchObject({
      overlaps: [],
    });
    const active = (await sessions().claims(task.id)).map(({ agent, write }) => [agent, ...write]);
    expect(active).toEqual([
      ['ada', 'elsewhere'],
      ['bob', 'a'],
    ]);
    expect(await detailOf(task.id, 'claim.ended')).toEqual({ reason: 'Lease expired; bob claimed' });
    await sessions().renew(ada.session.id);
    await expect(sessions().claim(ada.session.id, { write: ['a'] }, callBy('ada'))).rejects.toMatchObject({
      code: 'OCT_CLAIM_OVERLAP',
    });
  });

  it('asked for at the same moment by many sessions of two processes are granted to one alone', async () => {
    const task = await home.create({ maxAgents: 16 });
    const second = await home.openAgain();
    const agents = await Promise.all(Array.from({ length: 12 }, (_, index) => attach(task.id, `agent-${index}`)));
    const answers = await Promise.allSettled(
      agents.map(({ session }, index) =>
        (index % 2 === 0 ? home.open : second).services.sessions.claim(
          session.id,
          { write: [`src/${'*'.repeat((index % 3) + 1)}`.replace('***', '*.ts')] },
          callBy(session.agent),
        ),
      ),
    );
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const codes = answers.flatMap((answer) =>
      answer.status === 'rejected' ? [(answer.reason as { code: string }).code] : [],
    );
    expect(new Set(codes)).toEqual(new Set(['OCT_CLAIM_OVERLAP']));
    expect(await sessions().claims(task.id)).toHaveLength(1);
  });

  it('repeated with the same key are granted once', async () => {
    const task = await home.create();
    const { session } = await attach(task.id, 'ada');
    const keyed = { ...callBy('ada'), idempotencyKey: `claim of ${task.id}` };
    const first = await sessions().claim(session.id, { write: ['a'] }, keyed);
    expect(await sessions().claim(session.id, { write: ['a'] }, keyed)).toEqual(first);
    expect(await sessions().claims(task.id)).toHaveLength(1);
  });

  it.each([
    [{}, 'OCT_INVALID_ARGUMENT'],
    [{ write: ['../x'] }, 'OCT_PATH_OUTSIDE_WORKSPACE'],
    [{ read: ['/etc/passwd'] }, 'OCT_PATH_OUTSIDE_WORKSPACE'],
    [{ write: Array.from({ length: 33 }, (_, index) => `f${index}`) }, 'OCT_INVALID_ARGUMENT'],
    [{ write: Array.from({ length: 10 }, (_, index) => `${index}`.repeat(250)) }, 'OCT_INVALID_ARGUMENT'],
  ])('%# are checked before anything is done', async (claims, code) => {
    const task = await home.create();
    await expect(sessions().attach(task.id, { agent: 'ada', claims }, callBy('ada'))).rejects.toMatchObject({ code });
    expect(await sessions().list(task.id)).toEqual([]);
  });
});
