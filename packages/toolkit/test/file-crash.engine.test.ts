import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LedgerRecord, OpenHome, RecoveredOperation, SessionId, TaskId } from '@opencode-tools/core';
import { testSeed } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callBy } from './support/home-without-engine.ts';
import { type TestHome, createTestHome } from './support/test-home.ts';

const child = fileURLToPath(new URL('support/file-child.ts', import.meta.url));
const call = callBy('after');
const soak = process.env['OPENCODE_TOOLS_SOAK'] === '1';
const seed = testSeed();
/** More steps than any verb has. */
const mostSteps = 200;
const states = ['running', 'paused', 'stopped'] as const;

console.info(`crash tests of files: OPENCODE_TOOLS_SEED=${seed}`);

describe(`a process killed at any step of a change of files (seed ${seed})`, { timeout: 900_000 }, () => {
  let home: TestHome;
  let open: OpenHome;
  let session: SessionId;
  beforeAll(async () => {
    home = await createTestHome();
    open = await home.open();
    for (const name of ['a', 'b']) {
      await mkdir(join(home.directory, 'copied', 'sub'), { recursive: true });
      await writeFile(join(home.directory, 'copied', 'sub', name), Buffer.alloc(150_000, `new ${name}\n`));
    }
    await writeFile(join(home.directory, 'copied', 'file'), 'new\n'.repeat(50));
    await mkdir(join(home.directory, 'taken'));
  });
  afterAll(async () => {
    await open.close();
    await home.remove();
  });

  const old = 'old\n'.repeat(50);

  async function killedAt(task: TaskId, verb: string, step: number): Promise<boolean> {
    const argv = ['--conditions=@opencode-tools/source', child, home.directory, task, session, verb, String(step)];
    const running = spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'] });
    const [code, signal] = (await once(running, 'exit')) as [number | null, string | null];
    if (signal === 'SIGKILL') return true;
    expect(code).toBe(0);
    return false;
  }

  async function attach(task: TaskId): Promise<readonly RecoveredOperation[]> {
    const attached = await open.services.sessions.attach(task, { agent: 'after', takeover: true }, call);
    session = attached.session.id;
    return attached.recovered;
  }

  async function sh(task: TaskId, script: string): Promise<string> {
    const options = { command: { kind: 'script', script }, sessionId: session } as const;
    return (await open.services.executions.run(task, options, call)).stdout.text;
  }

  const prepare = async (task: TaskId): Promise<void> => {
    await sh(
      task,
      `chmod -R u+w . ; rm -rf ./* ./.[!.]*; i=0; while [ $i -lt 50 ]; do echo old; i=$((i + 1)); done >file; mkdir -p tree/sub; echo own >tree/own; cp file tree/file; echo old >tree/sub/a`,
    );
    await rm(join(home.directory, 'taken'), { recursive: true });
    await mkdir(join(home.directory, 'taken', 'out'), { recursive: true });
    await writeFile(join(home.directory, 'taken', 'out', 'file'), 'old on the host');
  };

  /** What recovery found, with the sandbox as somebody left it meanwhile. */
  async function recover(task: TaskId, state: (typeof states)[number]): Promise<readonly RecoveredOperation[]> {
    const ref = (await open.services.tasks.view(task)).sandbox?.ref ?? '';
    if (state === 'paused') await home.docker('pause', ref);
    if (state === 'stopped') await home.docker('stop', '-t', '0', ref);
    const recovered = await attach(task);
    const found = (await home.docker('inspect', '-f', '{{.State.Status}}', ref)).trim();
    expect(found).toBe(state === 'stopped' ? 'exited' : 'running');
    return recovered.filter(({ kind }) => kind === 'file');
  }

  /** Nothing beside its place, whatever each file holds is old or new, and the ledger tells. */
  async function check(task: TaskId, verb: string, recovered: readonly RecoveredOperation[], known: number) {
    expect(await sh(task, 'find /workspace /home/agent /tmp -name ".oct-[0-9a-z]*"')).toBe('');
    const all = await open.services.ledger.history(task, { limit: 10_000 });
    const records = all.filter(({ type, seq }: LedgerRecord) => type.startsWith('file.') && seq > known);
    const types = records.toSorted((a, b) => a.seq - b.seq).map(({ type }) => type);
    expect([[], ['file.requested', 'file.completed'], ['file.requested', 'file.interrupted']]).toContainEqual(types);
    const done = types.includes('file.completed');
    const said = recovered.map(({ summary }) => summary).join();
    const files = (
      await sh(
        task,
        'for f in file tree/file tree/own tree/sub/a tree/sub/b; do sha256sum <$f || echo none; done 2>/dev/null',
      )
    ).split('\n');
    const { createHash } = await import('node:crypto');
    const sum = (text: string | Buffer): string => `${createHash('sha256').update(text).digest('hex')}  -`;
    const long = Buffer.alloc(400_000, 'new\n');
    const fresh = { write: 'new\n'.repeat(50), edit: 'new\n'.repeat(50), 'write-long': long, 'write-stream': long }[
      verb
    ];
    if (fresh !== undefined) {
      expect([sum(old), sum(fresh)]).toContain(files[0]);
      if (done) expect(files[0]).toBe(sum(fresh));
      if (said.includes('as it was before')) expect(files[0]).toBe(sum(old));
    }
    if (verb === 'remove' && done) expect(files.slice(1, 5)).toEqual(Array.from({ length: 4 }, () => 'none'));
    if (verb === 'copy-in') {
      const [, file, own, a, b] = files;
      expect([sum(old), sum('new\n'.repeat(50))]).toContain(file);
      expect([sum('old\n'), sum(Buffer.alloc(150_000, 'new a\n'))]).toContain(a);
      expect(['none', sum(Buffer.alloc(150_000, 'new b\n'))]).toContain(b);
      expect(own).toBe(sum('own\n'));
      if (done) expect([file, b]).not.toContain('none');
    }
    if (verb === 'copy-out') {
      const taken = await readFile(join(home.directory, 'taken', 'out', 'file'), 'utf8');
      expect(['old on the host', old]).toContain(taken);
      expect(types).toEqual([]);
      const take = async (tar: AsyncIterable<Uint8Array>) =>
        open.hostFiles.unpack(tar, join(home.directory, 'taken'), 'out');
      await open.services.files.copyOut(task, { path: 'tree', take, sessionId: session }, call);
      expect(await readdir(join(home.directory, 'taken'))).toEqual(['out']);
    }
  }

  it.each(['write', 'write-long', 'write-stream', 'edit', 'remove', 'copy-in', 'copy-out'])(
    '%s: every file is old or new, nothing is left beside it, and the ledger tells',
    async (verb) => {
      const readOnlyRoot = (seed + verb.length) % 2 === 0;
      const { id } = await open.services.tasks.create({ title: verb, image: home.image, readOnlyRoot }, call);
      await attach(id);
      const stride = soak ? 1 : 7;
      let [last, kills] = [0, 0];
      for (let step = 1 + (seed % stride); step < mostSteps; step += stride) {
        await prepare(id);
        const known = (await open.services.ledger.head(id)).seq;
        if (!(await killedAt(id, verb, step))) break;
        const state = states[(seed + step) % states.length] ?? 'running';
        await check(id, verb, await recover(id, state), known);
        last = step;
        kills += 1;
      }
      expect(last).toBeLessThan(mostSteps - stride);
      expect(kills).toBeGreaterThan(soak ? 8 : 0);
      expect((await open.services.ledger.verify(id)).ok).toBe(true);
      await open.services.tasks.delete(id, { force: true }, call);
    },
  );
});
