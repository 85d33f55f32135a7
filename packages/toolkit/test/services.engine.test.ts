import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ExecutionResult, SessionId, Task, TaskId } from '@opencode-tools/core';
import { describe, expect, it, vi } from 'vitest';
import { tester as call, useTestHome } from './support/test-home.ts';

const listTree =
  'cd /workspace && find . | sort | while read -r p; do if [ -L "$p" ]; then echo "$p l $(readlink "$p")"; elif [ -d "$p" ]; then echo "$p d $(stat -c %a "$p")"; else echo "$p f $(stat -c %a "$p") $(md5sum <"$p")"; fi; done';

describe('services on a real engine', () => {
  const bed = useTestHome();

  const create = (title: string): Promise<Task> =>
    bed.open.services.tasks.create({ title, image: bed.home.image }, call);
  const sh = (task: TaskId, script: string, sessionId?: SessionId): Promise<ExecutionResult> =>
    bed.open.services.executions.run(
      task,
      { command: { kind: 'script', script }, ...(sessionId === undefined ? {} : { sessionId }) },
      call,
    );

  /** Size of the newest execution's output as it lies on disk. */
  const outputBytes = async (task: TaskId): Promise<number> => {
    const [newest] = (await bed.open.services.executions.list(task)).items;
    return newest === undefined ? 0 : (await bed.open.services.executions.readOutput(newest.id, 'stdout')).totalBytes;
  };

  it('makes the sandbox at first use and records the command with its whole output', async () => {
    const task = await create('first use');
    expect(task.status).toBe('pending');
    expect((await bed.open.services.tasks.view(task.id)).sandbox).toBeNull();
    const { execution, stdout, stderr } = await sh(task.id, 'echo out; echo err >&2; id -u; exit 3');
    expect(stdout.text).toBe('out\n1000\n');
    expect(stderr.text).toBe('err\n');
    expect(execution).toMatchObject({ state: 'exited', reason: 'exited', exitCode: 3, signal: null });
    const slice = await bed.open.services.executions.readOutput(execution.id, 'stdout');
    expect(Buffer.from(slice.bytes).toString()).toBe('out\n1000\n');
    const types = (await bed.open.services.ledger.history(task.id, { newestFirst: false })).map(
      (record) => record.type,
    );
    expect(types.slice(0, 3)).toEqual(['task.created', 'lease.acquired', 'session.attached']);
    expect(types).toContain('execution.completed');
    expect((await bed.open.services.ledger.verify(task.id)).ok).toBe(true);
  });

  it('leaves a large output whole in the memory and shows its head and tail', async () => {
    const task = await create('large output');
    const { stdout, execution } = await sh(task.id, 'i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done');
    expect(stdout.truncated).toBe(true);
    expect(stdout.text.startsWith('line 0\n')).toBe(true);
    expect(stdout.text.endsWith('line 19999\n')).toBe(true);
    const tail = await bed.open.services.executions.readOutput(execution.id, 'stdout', { offset: -11 });
    expect(Buffer.from(tail.bytes).toString()).toBe('line 19999\n');
    expect(tail.totalBytes).toBe(stdout.totalBytes);
  });

  it('ends a command at its time limit and says so', async () => {
    const task = await create('time limit');
    const { execution } = await bed.open.services.executions.run(
      task.id,
      { command: { kind: 'argv', argv: ['sleep', '600'] }, timeoutMs: 300 },
      call,
    );
    expect(execution).toMatchObject({ state: 'interrupted', reason: 'timeout' });
    expect((await sh(task.id, 'ps -o args | grep -c "[s]leep 600" || true')).stdout.text).toBe('0\n');
  });

  it('gives an idempotent call its first result again and starts nothing twice', async () => {
    const task = await create('idempotency');
    const keyed = { ...call, idempotencyKey: `run-${task.id}` };
    const run = () =>
      bed.open.services.executions.run(
        task.id,
        { command: { kind: 'script', script: 'echo x >>count; cat count' } },
        keyed,
      );
    const first = await run();
    const second = await run();
    expect(second.execution.id).toBe(first.execution.id);
    expect(second.stdout.text).toBe('x\n');
    expect((await sh(task.id, 'cat count')).stdout.text).toBe('x\n');
    await expect(
      bed.open.services.executions.run(task.id, { command: { kind: 'script', script: 'other' } }, keyed),
    ).rejects.toMatchObject({ code: 'OCT_IDEMPOTENCY_MISMATCH' });
  });

  it('restores a checkpoint byte for byte, root file system included, and saves the present first', async () => {
    const task = await create('restore');
    await sh(
      task.id,
      'mkdir -p empty deep/er; echo one >deep/er/file; chmod 750 deep; ln -s deep/er/file link; printf "a\\0b" >binary; echo "#!/bin/sh" >run.sh; chmod +x run.sh; echo installed >/opt/tool',
    );
    const before = (await sh(task.id, listTree)).stdout.text;
    const checkpoint = await bed.open.services.checkpoints.create(task.id, { name: 'good' }, call);
    expect(checkpoint.root?.changedPaths).toBeGreaterThan(0);
    await sh(task.id, 'rm -rf deep link empty; echo broken >binary; echo new >added; rm /opt/tool');
    expect((await sh(task.id, listTree)).stdout.text).not.toBe(before);
    const restoration = await bed.open.services.checkpoints.restore(task.id, 'good', {}, call);
    expect(restoration.saved).not.toBeNull();
    expect((await sh(task.id, listTree)).stdout.text).toBe(before);
    expect((await sh(task.id, 'cat /opt/tool')).stdout.text).toBe('installed\n');
    await bed.open.services.checkpoints.restore(task.id, restoration.saved?.id ?? '', {}, call);
    expect((await sh(task.id, 'cat added binary')).stdout.text).toBe('new\nbroken\n');
    expect((await bed.open.services.checkpoints.verify(checkpoint.id)).id).toBe(checkpoint.id);
  });

  it('forks a task that goes its own way', async () => {
    const task = await create('fork');
    await sh(task.id, 'echo base >file; echo h >/home/agent/mine');
    await bed.open.services.checkpoints.create(task.id, { name: 'fork here' }, call);
    const fork = await bed.open.services.tasks.fork(task.id, {}, call);
    expect((await sh(fork.id, 'cat file /home/agent/mine; echo fork >file')).stdout.text).toBe('base\nh\n');
    expect((await sh(task.id, 'cat file')).stdout.text).toBe('base\n');
    expect((await sh(fork.id, 'cat file')).stdout.text).toBe('fork\n');
  });

  it('makes a container that was removed behind our back again, with the work still there', async () => {
    const task = await create('removed container');
    await sh(task.id, 'echo kept >file');
    const { sandbox } = await bed.open.services.tasks.view(task.id);
    await bed.home.docker('rm', '-f', sandbox?.ref ?? '');
    expect((await sh(task.id, 'cat file')).stdout.text).toBe('kept\n');
    const after = await bed.open.services.tasks.view(task.id);
    expect(after.sandbox?.generation).toBe(2);
  });

  it('says it when volumes were lost, too, and brings the newest checkpoint back', async () => {
    const task = await create('removed volumes');
    await sh(task.id, 'echo saved >file');
    await bed.open.services.checkpoints.create(task.id, { name: 'saved' }, call);
    await sh(task.id, 'echo unsaved >file');
    const { sandbox } = await bed.open.services.tasks.view(task.id);
    await bed.home.docker('rm', '-f', sandbox?.ref ?? '');
    await bed.home.docker('volume', 'rm', sandbox?.workspaceVolume ?? '');
    const run = await sh(task.id, 'cat file');
    expect(run.stdout.text).toBe('saved\n');
    expect(run.notices).toEqual([expect.stringContaining('the workspace volume were gone')]);
    const [record] = await bed.open.services.ledger.history(task.id, { types: ['sandbox.requested'] });
    expect(record?.payload).toContain('the workspace volume');
    expect((await sh(task.id, 'true')).notices).toBeUndefined();
  });

  it('misses a chain that was removed whole, and leaves the files of a broken one alone', async () => {
    const gone = await create('removed chain');
    const broken = await create('broken chain');
    await bed.open.services.doctor.run(call);
    await bed.home.sql(
      `create table kept as select * from ledger where stream = '${gone.id}'`,
      `create table kept_streams as select * from streams where stream = '${gone.id}'`,
      `delete from ledger where stream = '${gone.id}'`,
      `delete from streams where stream = '${gone.id}'`,
      `update ledger set payload = payload || ' ' where stream = '${broken.id}' and seq = 1`,
    );
    try {
      const { ok, broken: found } = await bed.open.services.ledger.verify();
      expect(ok).toBe(false);
      expect(found.map(({ stream, fault }) => [stream, fault]).toSorted()).toEqual(
        [
          [broken.id, 'payload-mismatch'],
          [gone.id, 'chain-missing'],
        ].toSorted(),
      );
      expect(await bed.open.services.ledger.verify(gone.id)).toMatchObject({
        ok: false,
        chains: 1,
        broken: [{ stream: gone.id, fault: 'chain-missing' }],
      });
      const report = await bed.open.services.doctor.run(call);
      expect(report.findings.filter(({ subject }) => subject === broken.id)).toEqual([]);
    } finally {
      await bed.home.sql(
        'insert into ledger select * from kept',
        'insert into streams select * from kept_streams',
        `update ledger set payload = rtrim(payload) where stream = '${broken.id}' and seq = 1`,
        'drop table kept',
        'drop table kept_streams',
      );
    }
    expect((await bed.open.services.ledger.verify()).ok).toBe(true);
  });

  it('stops, resumes, completes and reopens a task at the same files', async () => {
    const task = await create('moves');
    await sh(task.id, 'echo kept >file');
    expect((await bed.open.services.tasks.stop(task.id, {}, call)).status).toBe('suspended');
    expect((await bed.open.services.tasks.view(task.id)).live?.state).toBe('stopped');
    expect((await sh(task.id, 'cat file')).stdout.text).toBe('kept\n');
    expect((await bed.open.services.tasks.complete(task.id, { summary: 'done' }, call)).status).toBe('completed');
    await expect(sh(task.id, 'true')).rejects.toMatchObject({ code: 'OCT_INVALID_TRANSITION' });
    const { session } = await bed.open.services.sessions.attach(task.id, { agent: 'again' }, call);
    expect((await sh(task.id, 'cat file', session.id)).stdout.text).toBe('kept\n');
    expect((await bed.open.services.sessions.detach(session.id, {}, call)).status).toBe('suspended');
  });

  it('lets one session hold an exclusive task, and another take it over', async () => {
    const task = await create('sessions');
    const a = await bed.open.services.sessions.attach(task.id, { agent: 'a' }, call);
    await expect(bed.open.services.sessions.attach(task.id, { agent: 'b' }, call)).rejects.toMatchObject({
      code: 'OCT_LEASE_HELD',
    });
    await expect(sh(task.id, 'true')).rejects.toMatchObject({ code: 'OCT_LEASE_HELD' });
    const b = await bed.open.services.sessions.attach(task.id, { agent: 'b', takeover: true }, call);
    expect(b.lease.token).toBeGreaterThan(a.lease.token);
    expect(b.displaced.map((session) => session.id)).toEqual([a.session.id]);
    await expect(sh(task.id, 'true', a.session.id)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
    await expect(
      bed.open.services.journal.decide(task.id, { what: 'late', sessionId: a.session.id }, call),
    ).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
    await bed.open.services.sessions.detach(b.session.id, {}, call);
  });

  it('ends what a killed process left running, tells the next agent, and refuses the late write', async () => {
    const task = await create('killed process');
    const a = await bed.open.services.sessions.attach(task.id, { agent: 'a' }, call);
    await sh(task.id, 'echo from-a >file', a.session.id);
    const child = spawn(
      process.execPath,
      [
        '--conditions=@opencode-tools/source',
        fileURLToPath(new URL('./support/run-forever.ts', import.meta.url)),
        bed.home.directory,
        task.id,
        a.session.id,
      ],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    await once(child.stdout, 'data');
    await vi.waitUntil(async () => (await outputBytes(task.id)) > 0, { timeout: 10_000 });
    child.kill('SIGKILL');
    await once(child, 'exit');
    const again = await bed.home.open();
    try {
      const b = await again.services.sessions.attach(task.id, { agent: 'b', takeover: true }, call);
      expect(b.recovered).toMatchObject([{ kind: 'execution', resolution: 'interrupted' }]);
      const run = await again.services.executions.run(
        task.id,
        {
          command: { kind: 'script', script: 'cat file; ps -o args | grep -c "[s]leep 7777" || true' },
          sessionId: b.session.id,
        },
        call,
      );
      expect(run.stdout.text).toBe('from-a\n0\n');
      const [, interrupted] = (await again.services.executions.list(task.id)).items;
      expect(interrupted).toMatchObject({ state: 'interrupted', reason: 'owner-died' });
      expect(interrupted?.stdout?.bytes).toBeGreaterThan(0);
      await expect(sh(task.id, 'echo late >file', a.session.id)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
    } finally {
      await again.close();
    }
  });

  it('ends what a living holder runs when another agent takes over, before the new lease is usable', async () => {
    const task = await create('takeover of a living holder');
    const holder = await bed.home.open();
    try {
      const a = await holder.services.sessions.attach(task.id, { agent: 'a' }, call);
      const started = Promise.withResolvers<void>();
      const running = holder.services.executions.run(
        task.id,
        {
          command: {
            kind: 'script',
            script: 'setsid sh -c "sleep 8888; echo late >/workspace/late" & echo on; sleep 8888; echo late >late',
          },
          sessionId: a.session.id,
          onOutput: () => started.resolve(),
        },
        call,
      );
      const outcome = running.then(
        () => 'ended',
        (error: unknown) => error,
      );
      await started.promise;
      const b = await bed.open.services.sessions.attach(task.id, { agent: 'b', takeover: true }, call);
      expect(b.endedProcesses).toBeGreaterThan(0);
      expect(b.recovered).toMatchObject([{ kind: 'execution', resolution: 'interrupted' }]);
      const seen = await sh(task.id, 'ps -o args | grep -c "[s]leep 8888"; ls late', b.session.id);
      expect(seen.stdout.text).toBe('0\n');
      expect(await outcome).toMatchObject({ code: 'OCT_LEASE_LOST' });
    } finally {
      await holder.close();
    }
  });

  it('deletes a task, keeps what only it had, and answers for it afterwards', async () => {
    const task = await create('deletion');
    await sh(task.id, 'echo precious >file');
    const planned = await bed.open.services.tasks.delete(task.id, { dryRun: true }, call);
    expect(planned.receipt.removed).toEqual({ containers: 1, volumes: 2, networks: 0 });
    const { receipt } = await bed.open.services.tasks.delete(task.id, {}, call);
    expect(receipt.finalCheckpointId).not.toBeNull();
    expect(await bed.home.objectsOf(task.id)).toEqual([]);
    await expect(bed.open.services.tasks.get(task.id)).rejects.toMatchObject({ code: 'OCT_TASK_NOT_FOUND' });
    expect((await bed.open.services.tasks.delete(task.id, {}, call)).receipt).toEqual(receipt);
    const history = await bed.open.services.ledger.history(task.id);
    expect(history[0]?.type).toBe('deletion.completed');
    expect((await bed.open.services.ledger.verify(task.id)).ok).toBe(true);
  });

  it('brings the work of a deleted task back by a fork of its last checkpoint', async () => {
    const task = await create('brought back');
    await sh(task.id, 'echo precious >file; echo tool >/opt/tool');
    const { receipt } = await bed.open.services.tasks.delete(task.id, {}, call);
    const head = await bed.open.services.ledger.head(task.id);
    const back = await bed.open.services.tasks.fork(await bed.open.services.tasks.resolve(task.id), {}, call);
    expect(back.forkedFrom).toEqual({ taskId: task.id, checkpointId: receipt.finalCheckpointId });
    expect((await sh(back.id, 'cat file /opt/tool')).stdout.text).toBe('precious\ntool\n');
    expect(await bed.open.services.ledger.head(task.id)).toEqual(head);
    await bed.open.services.tasks.delete(back.id, {}, call);
  });

  it('keeps others out no longer than half a minute when a one-shot command is killed', async () => {
    const task = await create('killed one-shot');
    await bed.open.services.journal.addNote(task.id, { text: 'short' }, call);
    const [record] = await bed.open.services.ledger.history(task.id, { types: ['lease.acquired'] });
    expect(record?.payload).toContain('"ttlMs":30000');
  });

  it('refuses bad input with a typed error and leaves nothing half made', async () => {
    const count = async (): Promise<number> => (await bed.open.services.tasks.list({}, { limit: 500 })).items.length;
    const before = await count();
    const refuse = async (input: Parameters<typeof bed.open.services.tasks.create>[0], code: string): Promise<void> => {
      await expect(bed.open.services.tasks.create(input, call)).rejects.toMatchObject({ code });
    };
    await refuse({ title: 'x'.repeat(100_000), image: bed.home.image }, 'OCT_INVALID_ARGUMENT');
    await refuse({ title: '', image: bed.home.image }, 'OCT_INVALID_ARGUMENT');
    await refuse({ title: 'no image', image: 'opencode-tools-test/absent:none' }, 'OCT_IMAGE_NOT_FOUND');
    await refuse(
      { title: 'no path', image: bed.home.image, workspace: { kind: 'git', path: `${bed.home.directory}/absent` } },
      'OCT_INVALID_ARGUMENT',
    );
    await refuse(
      {
        title: 'a file',
        image: bed.home.image,
        workspace: { kind: 'directory', path: `${bed.home.directory}/home.json` },
      },
      'OCT_INVALID_ARGUMENT',
    );
    expect(await count()).toBe(before);
  });

  it('finds nothing wrong in its own home', async () => {
    const report = await bed.open.services.doctor.run(call);
    expect(report.findings.filter(({ severity }) => severity === 'problem')).toEqual([]);
    expect(report.orphans).toEqual([]);
  });
});
