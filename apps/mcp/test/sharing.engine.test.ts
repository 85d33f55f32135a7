import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openTestEngine, startPostgres } from '@opencode-tools/testkit';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { connect, deleteAtTheEnd, temporaryHome, until } from './support.ts';

const run = promisify(execFile);
const cliBin = fileURLToPath(new URL('../../cli/dist/bin.cjs', import.meta.url));

let engine: Awaited<ReturnType<typeof openTestEngine>>;
beforeAll(async () => {
  engine = await openTestEngine();
});
afterAll(() => engine.close());

type Server = Awaited<ReturnType<typeof connect>>;

async function cli<T>(home: string, ...argv: readonly string[]): Promise<T> {
  const { stdout } = await run(process.execPath, [cliBin, '--json', '--home', home, ...argv]);
  return JSON.parse(stdout) as T;
}

interface Shared {
  readonly home: string;
  readonly task: string;
  readonly ada: Server & { readonly session: string };
  readonly bob: Server & { readonly session: string };
}

/** A task that two agents share, each with a server process of its own. */
async function share(strategy: string): Promise<Shared> {
  const home = await temporaryHome();
  const [first, second] = [await connect(home), await connect(home)];
  const shared = { lease_mode: 'collaborative', max_agents: 2, conflict_strategy: strategy };
  const created = await first.call('create_task_sandbox', { title: 'Shared', image: engine.imageId, ...shared });
  const task = String(created.data['task_id']);
  deleteAtTheEnd(home, task);
  const attach = async (server: Server, agent: string, write: string) => {
    const attached = await server.call('attach_agent_to_task', { task_id: task, agent, write: [write] });
    return { ...server, session: String(attached.data['session_id']) };
  };
  return { home, task, ada: await attach(first, 'ada', 'src/**'), bob: await attach(second, 'bob', 'docs/**') };
}

async function historyOf({ home, task }: Shared): Promise<readonly string[]> {
  const { records } = await cli<{ records: readonly { type: string }[] }>(home, 'task-history', task, '--limit', '500');
  return records.map(({ type }) => type);
}

/** Both change the todo and the note that they saw at version 1, one after the other. */
async function changeBoth({ ada, bob, task }: Shared) {
  const todo = await ada.call('set_todo', { task_id: task, session_id: ada.session, text: 'write it' });
  const note = await ada.call('set_note', { task_id: task, session_id: ada.session, text: 'seen by both' });
  const ids = { todo_id: todo.data['todo_id'], note_id: note.data['note_id'] };
  const change = async ({ call, session }: Shared['ada'], todoChange: object, text: string) => {
    const common = { task_id: task, session_id: session, expected_version: 1 };
    return {
      todo: await call('set_todo', { ...common, todo_id: ids.todo_id, ...todoChange }),
      note: await call('set_note', { ...common, note_id: ids.note_id, text }),
    };
  };
  await change(ada, { state: 'active' }, 'by ada');
  return await change(bob, { text: 'write it well' }, 'by bob');
}

describe('two clients on one task', () => {
  test('under reject, claims that meet and changes of what was changed are refused, and nothing is hidden', async () => {
    const shared = await share('reject');
    const { ada, bob, task } = shared;
    const refused = await bob.call('claim_paths', { session_id: bob.session, write: ['src/a.ts'] });
    expect(refused).toMatchObject({ isError: true, data: { code: 'OCT_CLAIM_OVERLAP' } });
    expect(refused.text).toContain('ada');
    expect(refused.text).not.toContain(ada.session);
    const { todo, note } = await changeBoth(shared);
    for (const answer of [todo, note]) {
      expect(answer).toMatchObject({ isError: true, data: { code: 'OCT_VERSION_CONFLICT' } });
    }
    const outside = await bob.call('execute_in_task', {
      task_id: task,
      session_id: bob.session,
      command: 'mkdir -p src docs; echo mine >docs/b.md; echo yours >src/a.ts',
    });
    expect(outside).toMatchObject({ isError: false, data: { exit_code: 0, outside_claims: ['src', 'src/a.ts'] } });
    expect(outside.text).toContain('Outside the claims of this session: src, src/a.ts');
    const seen = await historyOf(shared);
    for (const type of ['claim.conflicted', 'todo.conflicted', 'note.conflicted', 'claim.violated']) {
      expect(seen).toContain(type);
    }
  });

  test('under merge, claims that meet are granted and told, and changes of different fields are both kept', async () => {
    const shared = await share('merge');
    const { bob, task } = shared;
    const granted = await bob.call('claim_paths', { session_id: bob.session, write: ['src/a.ts'] });
    expect(granted).toMatchObject({ isError: false, data: { overlaps: [{ agent: 'ada', other_glob: 'src/**' }] } });
    const { todo, note } = await changeBoth(shared);
    expect(todo).toMatchObject({ isError: false });
    expect(note).toMatchObject({ isError: true, data: { code: 'OCT_VERSION_CONFLICT' } });
    const { todos } = await cli<{ todos: readonly object[] }>(shared.home, 'todo', 'list', task);
    expect(todos).toMatchObject([{ state: 'active', text: 'write it well' }]);
    expect(await historyOf(shared)).toEqual(
      expect.arrayContaining(['claim.conflicted', 'todo.conflicted', 'note.conflicted']),
    );
  });

  test('under last-write-wins the later change stands, and the record keeps the earlier', async () => {
    const shared = await share('last-write-wins');
    const { todo, note } = await changeBoth(shared);
    for (const answer of [todo, note]) expect(answer).toMatchObject({ isError: false });
    const { notes } = await cli<{ notes: readonly object[] }>(shared.home, 'note', 'list', shared.task);
    expect(notes).toMatchObject([{ text: 'by bob' }]);
    expect(await historyOf(shared)).toEqual(expect.arrayContaining(['todo.conflicted', 'note.conflicted']));
  });
});

describe('processes that want one task', () => {
  async function held(more: readonly string[] = []) {
    const home = await temporaryHome();
    const holder = await connect(home, '2025-11-25', more);
    const created = await holder.call('create_task_sandbox', {
      title: 'Wanted',
      image: engine.imageId,
      agent: 'holder',
    });
    const task = String(created.data['task_id']);
    deleteAtTheEnd(home, task, more);
    return { home, task, holder, session: String(created.data['session_id']) };
  }

  test('get it in the order in which they came, over MCP and by the command line; who waits too long is told', async () => {
    const place = await held();
    const database = new DatabaseSync(join(place.home, 'registry.db'), { readOnly: true });
    const waiters = async () => (database.prepare(countWaiters).get() as { n: number }).n;
    expect(await comeOneAfterTheOther(place, [], waiters)).toEqual(comers);
    database.close();
  });

  test('get it in that order on PostgreSQL as well', async () => {
    const server = await startPostgres();
    onTestFinished(() => server.stop());
    const settings = join(await temporaryHome(), '..', 'settings.yaml');
    await writeFile(settings, `database: ${server.url}\n`);
    const more = ['--config', settings];
    const place = await held(more);
    const client = new Client(server.url);
    await client.connect();
    const waiters = async () => Number((await client.query<{ n: string }>(countWaiters)).rows[0]?.n);
    expect(await comeOneAfterTheOther(place, more, waiters)).toEqual(comers);
    await client.end();
  });

  const comers = ['mcp-1', 'cli-2', 'mcp-3', 'cli-4'];
  const countWaiters = 'select count(*) as n from lease_waiters';

  async function comeOneAfterTheOther(
    { home, task, holder, session }: Awaited<ReturnType<typeof held>>,
    more: readonly string[],
    waiters: () => Promise<number>,
  ): Promise<readonly string[]> {
    const order: string[] = [];
    const waiting: Promise<void>[] = [];
    for (const [index, agent] of comers.entries()) {
      const server = agent.startsWith('mcp') ? await connect(home, '2025-11-25', more) : undefined;
      const wait = server === undefined ? byCommandLine(home, task, agent, more) : overMcp(server, task, agent);
      waiting.push(wait.then(async (leave) => void (order.push(agent), await leave())));
      await until(async () => (await waiters()) > index);
    }
    const late = await holder.call('attach_agent_to_task', { task_id: task, agent: 'late', wait_seconds: 0.2 });
    expect(late).toMatchObject({ isError: true, data: { code: 'OCT_LEASE_HELD', details: { holder: 'holder' } } });
    await holder.call('detach_agent_from_task', { session_id: session });
    await Promise.all(waiting);
    return order;
  }

  async function overMcp({ call }: Server, task: string, agent: string) {
    const { data } = await call('attach_agent_to_task', { task_id: task, agent, wait_seconds: 120 });
    return () => call('detach_agent_from_task', { session_id: data['session_id'] });
  }

  async function byCommandLine(home: string, task: string, agent: string, more: readonly string[]) {
    const wait = ['--agent', agent, '--wait', '120s'];
    const { session } = await cli<{ session: { id: string } }>(home, ...more, 'resume-task', task, ...wait);
    return () => cli(home, ...more, 'detach', session.id);
  }

  test('a server that was stopped while an operator revoked its lease writes nothing when it wakes', async () => {
    const { home, task, holder, session } = await held();
    const handles = { task_id: task, session_id: session };
    await holder.call('execute_in_task', { ...handles, command: 'echo before >file' });
    const pid = holder.transport.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    const late = [
      holder.call('execute_in_task', { ...handles, command: 'echo late >file' }),
      holder.call('write_file', { ...handles, path: 'file', text: 'late' }),
      holder.call('set_note', { ...handles, text: 'late' }),
      holder.call('record_decision', { ...handles, what: 'late' }),
    ];
    const { ended } = await cli<{ ended: readonly object[] }>(home, 'revoke', task, '--reason', 'does not answer');
    expect(ended).toMatchObject([{ agent: 'holder' }]);
    const next = await connect(home);
    const { data } = await next.call('attach_agent_to_task', { task_id: task, agent: 'next' });
    process.kill(pid, 'SIGCONT');
    for (const answer of await Promise.all(late))
      expect(answer).toMatchObject({ isError: true, data: { code: 'OCT_LEASE_LOST' } });
    const read = await next.call('read_file', { task_id: task, path: 'file' });
    expect(read.text).toContain('before');
    expect(read.text).not.toContain('late');
    expect(await cli<{ notes: readonly object[] }>(home, 'note', 'list', task)).toMatchObject({ notes: [] });
    await next.call('detach_agent_from_task', { session_id: data['session_id'] });
  });

  test('a command line that was stopped while its task was taken over writes nothing when it wakes', async () => {
    const { home, task, holder, session } = await held();
    const loop = 'while true; do echo late >>file; sleep 0.02; done';
    const argv = [cliBin, '--home', home, 'exec', task, '--session', session, '--script', loop];
    const child = execFile(process.execPath, argv, { env: { ...process.env, OPENCODE_TOOLS_SESSION: '' } });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const sizeNow = async () => (await holder.call('read_file', { task_id: task, path: 'file' })).text.includes('late');
    await until(sizeNow);
    child.kill('SIGSTOP');
    const next = await connect(home);
    const taken = { task_id: task, agent: 'next', takeover: true };
    const { data } = await next.call('attach_agent_to_task', taken);
    const handles = { task_id: task, session_id: data['session_id'] };
    const clean = await next.call('execute_in_task', { ...handles, command: 'rm file; echo mine >file' });
    expect(clean).toMatchObject({ isError: false, data: { exit_code: 0 } });
    child.kill('SIGCONT');
    expect(await ended).not.toBe(0);
    const read = await next.call('execute_in_task', { ...handles, command: 'cat file' });
    expect(read.data['stdout']).toBe('mine\n');
    await next.call('detach_agent_from_task', { session_id: data['session_id'] });
  });
});
