import { mkdir, mkdtemp, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { OpenHome, TaskId } from '@opencode-tools/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callBy } from './support/home-without-engine.ts';
import { type TestHome, createTestHome } from './support/test-home.ts';

describe('files of a task on a real engine', () => {
  let home: TestHome;
  let open: OpenHome;
  let directory: string;
  beforeAll(async () => {
    home = await createTestHome();
    open = await home.open();
    directory = await mkdtemp(path.join(os.tmpdir(), 'oct-files-'));
  });
  afterAll(async () => {
    await open.close();
    await home.remove();
    await rm(directory, { recursive: true, force: true });
  });

  const ada = callBy('ada');
  const create = async (title: string, more = {}) =>
    open.services.tasks.create({ title, image: home.image, ...more }, ada);
  const details = async (taskId: TaskId, type: string): Promise<readonly unknown[]> =>
    (await open.services.ledger.history(taskId, { types: [type], newestFirst: false })).map(
      ({ payload }) => (JSON.parse(payload ?? '') as { detail: unknown }).detail,
    );

  it('are written, edited and read; the ledger has path, size and digest, never content', async () => {
    const { files, ledger } = open.services;
    const { id } = await create('files');
    const written = await files.write(id, { path: 'src/a.txt', content: Buffer.from('one canary two\n') }, ada);
    expect(written).toMatchObject({ path: '/workspace/src/a.txt', created: true, sizeBytes: 15 });
    const edits = [{ oldText: 'two', newText: 'three' }];
    const edited = await files.edit(id, { path: 'src/a.txt', edits, expectedDigest: written.digest }, ada);
    await expect(
      files.edit(id, { path: 'src/a.txt', edits, expectedDigest: written.digest }, ada),
    ).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
    await expect(files.edit(id, { path: 'src/a.txt', edits }, ada)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
    });
    const read = await files.read(id, { path: '/workspace/src/a.txt' }, ada);
    expect(read).toMatchObject({ digest: edited.digest, truncated: false });
    expect(Buffer.from(read.bytes).toString()).toBe('one canary three\n');
    expect(await details(id, 'file.completed')).toMatchObject([
      { verb: 'write', path: '/workspace/src/a.txt', sizeBytes: 15, digest: written.digest, created: true },
      { verb: 'edit', digest: edited.digest, previousDigest: written.digest, replaced: 1 },
    ]);
    expect(JSON.stringify(await ledger.history(id, { limit: 100 }))).not.toContain('canary');
    expect(await open.services.tasks.get(id)).toMatchObject({ status: 'running' });
  });

  it('are read without a lease while another session has the task, and changed only under it', async () => {
    const { files, sessions } = open.services;
    const { id } = await create('leased');
    const { session } = await sessions.attach(id, { agent: 'ada' }, ada);
    await files.write(id, { path: 'a', content: Buffer.from('x'), sessionId: session.id }, ada);
    expect((await files.list(id, {}, callBy('bob'))).entries.map((entry) => entry.path)).toEqual(['a']);
    await expect(files.remove(id, { path: 'a' }, callBy('bob'))).rejects.toMatchObject({ code: 'OCT_LEASE_HELD' });
    const bob = await sessions.attach(id, { agent: 'bob', takeover: true }, callBy('bob'));
    await expect(
      files.write(id, { path: 'a', content: Buffer.from('late'), sessionId: session.id }, ada),
    ).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
    await files.move(id, { path: 'a', to: 'b', sessionId: bob.session.id }, callBy('bob'));
    expect(await files.stat(id, { path: 'b' }, ada)).toMatchObject({ type: 'file', sizeBytes: 1 });
  });

  it('of a stopped task are read, and the sandbox is put away again', async () => {
    const { files, tasks } = open.services;
    const { id } = await create('stopped');
    await files.write(id, { path: 'kept', content: Buffer.from('kept') }, ada);
    await tasks.stop(id, {}, ada);
    expect(Buffer.from((await files.read(id, { path: 'kept' }, ada)).bytes).toString()).toBe('kept');
    expect(await tasks.view(id)).toMatchObject({ task: { status: 'suspended' }, sandbox: { state: 'stopped' } });
    await files.write(id, { path: 'kept', content: Buffer.from('again') }, ada);
    expect(await tasks.view(id)).toMatchObject({ task: { status: 'running' }, sandbox: { state: 'running' } });
  });

  it('outside the claims of a session are written, told and recorded', async () => {
    const { files, sessions } = open.services;
    const { id } = await create('claimed', { leaseMode: 'collaborative', maxAgents: 4 });
    const { session } = await sessions.attach(id, { agent: 'ada', claims: { write: ['src/**'] } }, ada);
    const bob = await sessions.attach(id, { agent: 'bob' }, callBy('bob'));
    const at = (file: string, sessionId = session.id) => ({ path: file, content: Buffer.from('x'), sessionId });
    expect((await files.write(id, at('src/in'), ada)).outsideClaims).toMatchObject({ total: 0 });
    expect((await files.write(id, at('lib/out'), ada)).outsideClaims).toMatchObject({ paths: ['lib/out'] });
    const removal = { path: 'src', recursive: true, sessionId: bob.session.id };
    expect((await files.remove(id, removal, callBy('bob'))).outsideClaims?.paths).toContain('src/in');
    expect(await details(id, 'claim.violated')).toMatchObject([{ paths: ['lib/out'], sessionId: session.id }, {}]);
  });

  it('the same call by key is made once', async () => {
    const { files } = open.services;
    const { id } = await create('once');
    const keyed = { ...ada, idempotencyKey: 'write-once' };
    const options = { path: 'a', content: Buffer.from('x'), expect: { kind: 'absent' } } as const;
    const first = await files.write(id, options, keyed);
    expect(await files.write(id, options, keyed)).toEqual(first);
    await expect(files.write(id, { ...options, content: Buffer.from('y') }, keyed)).rejects.toMatchObject({
      code: 'OCT_IDEMPOTENCY_MISMATCH',
    });
  });

  it('are copied in and out with modes and links, of a task that is stopped as well', async () => {
    const { files, tasks } = open.services;
    const { id } = await create('copied');
    await mkdir(path.join(directory, 'tree', 'sub'), { recursive: true });
    await writeFile(path.join(directory, 'tree', 'sub', 'run'), 'content', { mode: 0o755 });
    await symlink('sub/run', path.join(directory, 'tree', 'link'));
    const tar = open.hostFiles.pack(path.join(directory, 'tree'), 'in');
    await files.copyIn(id, { path: 'put', tar }, ada);
    expect(await files.stat(id, { path: 'put/in/sub/run' }, ada)).toMatchObject({ mode: 0o755, sizeBytes: 7 });
    expect((await files.find(id, { glob: '**/run' }, ada)).paths).toEqual(['put/in/sub/run']);
    expect((await files.search(id, { pattern: 'tent' }, ada)).matches).toMatchObject([{ path: 'put/in/sub/run' }]);
    await tasks.stop(id, {}, ada);
    const take = async (out: AsyncIterable<Uint8Array>) => open.hostFiles.unpack(out, directory, 'out');
    expect(await files.copyOut(id, { path: 'put/in', take }, ada)).toMatchObject({ files: 1, skipped: [] });
    expect(await readlink(path.join(directory, 'out', 'link'))).toBe('sub/run');
    expect(await readFile(path.join(directory, 'out', 'link'), 'utf8')).toBe('content');
  });

  it('of an image without a shell are refused in every verb by one error that says what to do, and programs run', async () => {
    const { files, executions, tasks } = open.services;
    const { id } = await create('shellless', { image: await home.engine.shellessImage() });
    const at = { path: 'a' };
    const take = async (out: AsyncIterable<Uint8Array>) => open.hostFiles.unpack(out, directory, 'none');
    const verbs: Readonly<Record<string, () => Promise<unknown>>> = {
      read: async () => files.read(id, at, ada),
      stat: async () => files.stat(id, at, ada),
      list: async () => files.list(id, {}, ada),
      find: async () => files.find(id, { glob: '*' }, ada),
      search: async () => files.search(id, { pattern: 'x' }, ada),
      write: async () => files.write(id, { ...at, content: Buffer.from('x') }, ada),
      'write more than fits a script': async () => files.write(id, { ...at, content: Buffer.alloc(100_000) }, ada),
      edit: async () => files.edit(id, { ...at, edits: [{ oldText: 'x', newText: 'y' }] }, ada),
      remove: async () => files.remove(id, at, ada),
      move: async () => files.move(id, { ...at, to: 'b' }, ada),
      makeDirectory: async () => files.makeDirectory(id, at, ada),
      copyIn: async () => files.copyIn(id, { ...at, tar: open.hostFiles.pack(directory, 'in') }, ada),
      copyOut: async () => files.copyOut(id, { ...at, take }, ada),
    };
    const answers: Record<string, unknown> = {};
    for (const [verb, use] of Object.entries(verbs))
      answers[verb] = await use().catch((error: unknown) => pick(error as { code: string; remedy: string }));
    const remedy = expect.stringContaining('use an image with a shell') as string;
    expect(answers).toEqual(
      Object.fromEntries(Object.keys(verbs).map((verb) => [verb, { code: 'OCT_CAPABILITY_UNSUPPORTED', remedy }])),
    );
    const types = (await open.services.ledger.history(id, { limit: 1_000 })).map(({ type }) => type);
    const count = (type: string): number => types.filter((each) => each === type).length;
    expect([count('file.requested'), count('file.failed')]).toEqual([7, 7]);
    const argv = { command: { kind: 'argv', argv: ['echo', 'still here'] } } as const;
    expect((await executions.run(id, argv, ada)).stdout.text).toBe('still here\n');
    await tasks.delete(id, { force: true }, ada);
  });

  it('with a read-only root are written, copied in and copied out in the workspace and home, running and stopped', async () => {
    const { files, tasks } = open.services;
    const { id } = await create('closed', { readOnlyRoot: true });
    await mkdir(path.join(directory, 'closed'));
    await writeFile(path.join(directory, 'closed', 'file'), 'content');
    const put = async (at: string) =>
      files.copyIn(id, { path: at, tar: open.hostFiles.pack(path.join(directory, 'closed'), 'in') }, ada);
    for (const [round, at] of ['/workspace/put', '/home/agent/put'].entries()) {
      await put(at);
      await tasks.stop(id, {}, ada);
      const take = async (out: AsyncIterable<Uint8Array>) =>
        open.hostFiles.unpack(out, directory, `closed-out-${round}`);
      expect(await files.copyOut(id, { path: `${at}/in`, take }, ada)).toMatchObject({ files: 1 });
    }
    for (const at of ['/opt/put', '/'])
      await expect(put(at)).rejects.toMatchObject({ code: 'OCT_FILE_REFUSED', remedy: expect.any(String) as string });
    await expect(files.write(id, { path: '/etc/x', content: Buffer.from('x') }, ada)).rejects.toMatchObject({
      code: 'OCT_FILE_REFUSED',
    });
  });

  it('the workspace, the home and what holds them are never removed or moved', async () => {
    const { id } = await create('ground');
    for (const at of ['.', '/', '/home/agent', '/home', '/tmp', '../workspace'])
      await expect(open.services.files.remove(id, { path: at, recursive: true }, ada)).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
  });
});

function pick({ code, remedy }: { readonly code: string; readonly remedy: string }) {
  return { code, remedy };
}
