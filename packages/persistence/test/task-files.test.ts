import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type Decision, type Task, silentLogger, systemClock } from '@opencode-tools/core';
import { addRows, addTask, sampleActor, sampleDecision, sampleDraft, sampleNote } from '@opencode-tools/testkit';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSqliteFile } from '../src/admin/sqlite-file.ts';
import { FileTaskMemory } from '../src/memory/file-task-memory.ts';
import { projectionHolder } from '../src/memory/projection-holder.ts';
import { ProjectionRight } from '../src/memory/projection-right.ts';
import { type Store, openSqliteStore } from '../src/sqlite.ts';
import type { StoreContext } from '../src/write/context.ts';
import { movableClock, temporaryDirectory } from './open-sqlite-registry.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
let directory: string;
let store: Store;
let task: Task;
beforeEach(async () => {
  temporary = temporaryDirectory();
  directory = join(temporary.path, 'home');
  store = await openSqliteStore({ directory });
  task = await addTask(store.tasks);
});
afterEach(async () => {
  await store.close();
  temporary.remove();
});

const file = (name: string) => join(directory, 'tasks', task.id, name);
const read = (name: string) => fs.readFileSync(file(name), 'utf8');
const names = () => fs.readdirSync(file('.'));

describe('decisions.md', () => {
  let decision: Decision;
  beforeEach(async () => {
    decision = sampleDecision(task.id);
    await addRows(store.tasks, task.id, { noun: 'decision', value: decision });
    await store.memory.project(task.id);
  });
  const edit = (change: (text: string) => string) =>
    fs.writeFileSync(file('decisions.md'), change(read('decisions.md')));
  const types = async () => (await store.ledger.read(task.id)).map(({ type }) => type);

  test('takes in what a person changed, before it is written again', async () => {
    edit((text) => text.replace('It merges without conflicts.', 'It merges cleanly.\n\nMeasured twice.'));
    await addRows(store.tasks, task.id, { noun: 'note', value: sampleNote(task.id) });
    await store.memory.project(task.id);
    expect(await store.tasks.listDecisions(task.id)).toEqual([
      { ...decision, why: 'It merges cleanly.\n\nMeasured twice.' },
    ]);
    const [record] = await store.ledger.read(task.id, { types: ['decision.edited'] });
    expect(record?.actor).toMatchObject({ kind: 'user', id: 'decisions.md' });
    expect(names().filter((name) => name.includes('.bad-'))).toEqual([]);
    expect((await store.memory.heal(task.id)).healed).toEqual([]);
    expect(read('decisions.md')).toContain('Measured twice.');
  });

  test('takes in what a person wrote before the next decision is recorded, and shows both', async () => {
    edit((text) => `${text.replace('It merges', 'It surely merges')}\n## Ask before deleting\n\nIt happened once.\n`);
    const next = sampleDecision(task.id, { what: 'Decided meanwhile' });
    await addRows(store.tasks, task.id, { noun: 'decision', value: next });
    await store.memory.project(task.id);
    const whats = (await store.tasks.listDecisions(task.id)).map(({ what }) => what);
    expect(whats.toSorted()).toEqual([decision.what, next.what, 'Ask before deleting'].toSorted());
    for (const text of ['It surely merges', 'It happened once.', next.what])
      expect(read('decisions.md')).toContain(text);
    expect(names().filter((name) => name.includes('.bad-'))).toEqual([]);
    expect((await store.memory.heal(task.id)).healed).toEqual([]);
  });

  test('is kept aside when what a person changed was changed by another meanwhile', async () => {
    edit((text) => text.replace('It merges', 'It surely merges'));
    const changed = { ...decision, why: 'For another reason' };
    await addRows(store.tasks, task.id, { noun: 'decision', value: changed });
    await store.memory.project(task.id);
    expect(await store.tasks.listDecisions(task.id)).toEqual([changed]);
    const [kept = ''] = names().filter((name) => name.startsWith('decisions.md.bad-'));
    expect(read(kept)).toContain('It surely merges');
  });

  test('takes in what a person added, and healing does the same', async () => {
    edit((text) => `${text}\n## Ask before deleting\n\nIt happened once.\n\nAlternatives:\n\n- Delete at once\n`);
    expect((await store.memory.heal(task.id)).healed).toEqual([]);
    const [, added] = await store.tasks.listDecisions(task.id);
    expect(added).toMatchObject({
      what: 'Ask before deleting',
      why: 'It happened once.',
      alternatives: ['Delete at once'],
    });
    expect(read('decisions.md')).toContain(`\`${added?.id ?? ''}\``);
    expect(await types()).toEqual(['task.created', 'task.changed', 'decision.edited']);
  });

  test.each([
    ['an entry is taken out', (text: string) => `${text.split('\n## ')[0] ?? ''}\n`],
    ['an id is changed', (text: string) => text.replace(/dec_[0-9a-z]{4}/, 'dec_0000')],
    ['a text is too long', (text: string) => text.replace('It merges', `It merges ${'x'.repeat(20_001)}`)],
    ['an entry is doubled', (text: string) => text + text.slice(text.indexOf('## '))],
  ])('is kept aside when %s', async (_, change) => {
    edit(change);
    const edited = read('decisions.md');
    expect((await store.memory.heal(task.id)).healed).toMatchObject([{ file: 'decisions.md' }]);
    const [kept = ''] = names().filter((name) => name.startsWith('decisions.md.bad-'));
    expect(read(kept)).toBe(edited);
    expect(await store.tasks.listDecisions(task.id)).toEqual([decision]);
    expect(await types()).not.toContain('decision.edited');
  });

  test.each([
    ['line ends of another system', (text: string) => text.replaceAll('\n', '\r\n')],
    ['a mark of byte order', (text: string) => `\uFEFF${text}`],
  ])('takes in what was written with %s', async (_, convert) => {
    edit((text) => convert(text.replace('It merges without conflicts.', 'It merges cleanly.\n\nMeasured twice.')));
    await addRows(store.tasks, task.id, { noun: 'note', value: sampleNote(task.id) });
    await store.memory.project(task.id);
    expect(await store.tasks.listDecisions(task.id)).toEqual([
      { ...decision, why: 'It merges cleanly.\n\nMeasured twice.' },
    ]);
    expect(names().filter((name) => name.includes('.bad-'))).toEqual([]);
  });

  test('records no edit of a text of several lines when only the line ends are others', async () => {
    const value = sampleDecision(task.id, { why: 'First\n\nSecond' });
    await addRows(store.tasks, task.id, { noun: 'decision', value });
    await store.memory.project(task.id);
    edit((text) => text.replaceAll('\n', '\r\n'));
    await store.memory.heal(task.id);
    expect(await types()).not.toContain('decision.edited');
  });

  test('is kept aside, byte by byte, when it is not UTF-8', async () => {
    const edited = Buffer.concat([
      fs.readFileSync(file('decisions.md')),
      Buffer.from('\n## Caf\xe9\n\nAt noon\n', 'latin1'),
    ]);
    fs.writeFileSync(file('decisions.md'), edited);
    expect((await store.memory.heal(task.id)).healed).toMatchObject([{ file: 'decisions.md' }]);
    const [kept = ''] = names().filter((name) => name.startsWith('decisions.md.bad-'));
    expect(fs.readFileSync(file(kept)).equals(edited)).toBe(true);
    expect(await types()).not.toContain('decision.edited');
  });

  test('is never mistaken where a text looks like the page itself', async () => {
    const value = sampleDecision(task.id, {
      why: 'First\n\n## Not a heading\n\nAlternatives:\n\n- no',
      alternatives: [],
    });
    await addRows(store.tasks, task.id, { noun: 'decision', value });
    await store.memory.project(task.id);
    edit((text) => text.replace('First', 'Changed'));
    expect((await store.memory.heal(task.id)).healed).toMatchObject([{ file: 'decisions.md', fault: 'changed' }]);
    expect(await store.tasks.listDecisions(task.id)).toContainEqual(value);
  });
});

test('what a killed process left half written is removed when the files are healed', async () => {
  await store.memory.project(task.id);
  for (const name of ['.log.jsonl.4711.tmp', 'state.json.4711.tmp']) fs.writeFileSync(file(name), '{');
  fs.writeFileSync(file('mine.tmp'), '');
  await store.memory.heal(task.id);
  expect(names().filter((name) => name.endsWith('.tmp'))).toEqual(['mine.tmp']);
});

describe('what stands in the place of a file and is none', () => {
  const places = [
    ['state.json', 'log.jsonl', 'executions.jsonl', 'conversations.jsonl', 'decisions.md'],
    ['a directory', 'a pipe', 'a link'],
  ] as const;
  const put: Record<(typeof places)[1][number], (place: string) => void> = {
    'a directory': (place) => fs.mkdirSync(join(place, 'below'), { recursive: true }),
    'a pipe': (place) => execFileSync('mkfifo', [place]),
    'a link': (place) => {
      fs.writeFileSync(join(temporary.path, 'another'), 'mine');
      fs.symlinkSync(join(temporary.path, 'another'), place);
    },
  };
  const replace = (name: string, kind: keyof typeof put) => {
    fs.rmSync(name, { force: true });
    put[kind](name);
  };
  const cases = places[0].flatMap((name) => places[1].map((kind) => [kind, name] as const));

  test.each(cases)('%s for %s is kept aside when the task goes on', { timeout: 5_000 }, async (kind, name) => {
    await store.memory.project(task.id);
    replace(file(name), kind);
    await addRows(store.tasks, task.id, { noun: 'decision', value: sampleDecision(task.id) });
    await store.memory.project(task.id);
    expect(fs.lstatSync(file(name)).isFile()).toBe(true);
    expect(names().filter((kept) => kept.startsWith(`${name}.bad-`))).toHaveLength(1);
    if (kind === 'a link') expect(fs.readFileSync(join(temporary.path, 'another'), 'utf8')).toBe('mine');
    expect((await store.memory.heal(task.id)).healed).toEqual([]);
  });

  test.each(cases)(
    '%s for %s is kept aside by healing, which tells of it once',
    { timeout: 5_000 },
    async (kind, name) => {
      await store.memory.project(task.id);
      replace(file(name), kind);
      const { healed } = await store.memory.heal(task.id);
      expect(healed).toMatchObject([{ file: name, fault: 'no-file', keptAs: expect.stringContaining(`${name}.bad-`) }]);
      expect((await store.memory.heal(task.id)).healed).toEqual([]);
    },
  );

  test.each(places[1])('%s for the ledger of the home is kept aside', { timeout: 5_000 }, async (kind) => {
    await store.memory.project();
    replace(join(directory, 'log.jsonl'), kind);
    await store.tasks.commit({ records: [{ stream: 'home', type: 'home.tried', actor: sampleActor, puts: [] }] });
    await store.memory.project();
    const lines = fs.readFileSync(join(directory, 'log.jsonl'), 'utf8').trimEnd().split('\n');
    expect(lines).toHaveLength((await store.ledger.read('home')).length);
  });
});

describe('the right to write the files of a task', () => {
  const beside = async (work: (ctx: StoreContext, clock: ReturnType<typeof movableClock>) => Promise<void>) => {
    await store.memory.project(task.id);
    store.memory.touch = () => undefined;
    const engine = openSqliteFile(join(directory, 'registry.db'));
    const clock = movableClock();
    const { homeId } = store;
    await work({ engine, homeId, clock, epoch: 1, writeRefusal: null, onAppended: () => undefined }, clock);
    await engine.close();
  };

  test('is kept by long work, and lost by work that was held up', async () => {
    await beside(async (ctx, clock) => {
      const take = (holder: string) => ProjectionRight.take(ctx, task.id, holder, () => clock.nowMs());
      const first = await take('first');
      clock.move(5_000);
      await first?.keep();
      clock.move(6_000);
      expect(await take('second')).toBeNull();
      clock.move(3_000);
      await expect(first?.keep()).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
      clock.move(2_000);
      expect(await take('second')).not.toBeNull();
    });
  });

  test('is taken at once from a process that was killed, and from no other', async () => {
    await beside(async (ctx, clock) => {
      const take = (holder: string) => ProjectionRight.take(ctx, task.id, holder, () => clock.nowMs());
      const alive = projectionHolder('')();
      const killed = spawn('sleep', ['60']);
      killed.kill('SIGKILL');
      await once(killed, 'exit');
      const dead = alive.replace(/^\d+/, String(killed.pid));
      for (const holder of [alive, dead.replace(/@.*$/, ''), dead.replace(/@.*$/, '@0123456789abcdef')]) {
        const right = await take(holder);
        expect(await take('another')).toBeNull();
        await right?.release(null);
      }
      expect(await take(dead)).not.toBeNull();
      expect(await take('another')).not.toBeNull();
    });
  });

  test('is noticed by who wrote on after it had run out, and what came late is mended', async () => {
    await beside(async (ctx) => {
      const add = (text: string) => {
        const value = { ...sampleNote(task.id), text };
        return store.tasks.commit({ records: [sampleDraft(task.id, 'note.added', { noun: 'note', value })] });
      };
      await add('early');
      const [stopped, goesOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      let looks = 0;
      const read: StoreContext['engine']['read'] = async (plan) => {
        if (looks === 2) {
          looks += 1;
          stopped.resolve();
          await goesOn.promise;
        }
        return ctx.engine.read(plan);
      };
      const engine = new Proxy(ctx.engine, {
        get: (target, name) => {
          if (name === 'read') return read;
          const member: unknown = Reflect.get(target, name);
          return typeof member === 'function' ? (member.bind(target) as unknown) : member;
        },
      });
      const elapsedMs = () => (looks += 1);
      const late = new FileTaskMemory({ ...ctx, engine }, directory, silentLogger, { elapsedMs });
      const writing = late.project(task.id);
      await stopped.promise;
      await add('newer');
      const other = movableClock();
      other.move(60_000);
      const overtaker = new FileTaskMemory({ ...ctx, clock: other }, directory, silentLogger);
      await overtaker.project(task.id);
      goesOn.resolve();
      await writing;
      expect(await overtaker.heal(task.id)).toMatchObject({ healed: [] });
      expect(JSON.stringify(await overtaker.readState(task.id))).toContain('newer');
      await Promise.all([late.close(), overtaker.close()]);
    });
  });

  test('lasts for a chain that takes longer to write than the right is given for', async () => {
    await beside(async (ctx, clock) => {
      const notes = Array.from({ length: 4_000 }, () => sampleNote(task.id));
      const records = notes.map((value) => sampleDraft(task.id, 'note.added', { noun: 'note', value }));
      await store.tasks.commit({ records });
      const elapsedMs = () => {
        clock.move(3_000);
        return clock.nowMs();
      };
      const memory = new FileTaskMemory(ctx, directory, silentLogger, { elapsedMs });
      await memory.project(task.id);
      expect((await memory.readLogTail(task.id, 1))[0]?.seq).toBe((await store.ledger.head(task.id)).seq);
      await memory.close();
    });
  });
});

describe('a log that has grown large', () => {
  const small = async (work: (memory: FileTaskMemory) => Promise<void>) => {
    const engine = openSqliteFile(join(directory, 'registry.db'));
    const ctx = {
      engine,
      homeId: store.homeId,
      clock: systemClock,
      epoch: 1,
      writeRefusal: null,
      onAppended: () => undefined,
    };
    const memory = new FileTaskMemory(ctx, directory, silentLogger, { rotateAtBytes: 4_000 });
    await work(memory);
    await memory.close();
    await engine.close();
  };
  const grow = async (memory: FileTaskMemory, rounds: number) => {
    for (let round = 0; round < rounds; round += 1) {
      await addRows(store.tasks, task.id, { noun: 'note', value: sampleNote(task.id) });
      await memory.project(task.id);
    }
  };
  const seqs = (name: string) =>
    read(name)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { seq: number }).seq);
  const segments = () =>
    names()
      .filter((name) => /^log\.\d+-\d+\.jsonl$/.test(name))
      .toSorted((a, b) => seqs(a)[0]! - seqs(b)[0]!);

  test('is put away in segments that continue one chain, whole and in order', async () => {
    await small(async (memory) => {
      await grow(memory, 30);
      expect(segments().length).toBeGreaterThan(3);
      expect([...segments(), 'log.jsonl'].flatMap(seqs)).toEqual(Array.from({ length: 31 }, (_, index) => index + 1));
      expect((await memory.readLogTail(task.id, 12)).map(({ seq }) => seq)).toEqual(
        Array.from({ length: 12 }, (_, index) => index + 20),
      );
      expect((await memory.heal(task.id)).healed).toEqual([]);
    });
  });

  test.each(['removed', 'changed'])('is whole again after a segment was %s', async (how) => {
    await small(async (memory) => {
      await grow(memory, 20);
      const victim = segments()[1] ?? '';
      if (how === 'removed') fs.rmSync(file(victim));
      else fs.writeFileSync(file(victim), read(victim).replace('"seq":', '"seq" :'));
      expect((await memory.heal(task.id)).healed.length).toBeGreaterThan(0);
      expect([...segments(), 'log.jsonl'].flatMap(seqs).slice(0, 21)).toEqual(
        Array.from({ length: 21 }, (_, index) => index + 1),
      );
      expect((await memory.heal(task.id)).healed).toEqual([]);
    });
  });
});

test('a log that is ahead of the registry and goes on from it is taken in', async () => {
  await addRows(store.tasks, task.id, { noun: 'note', value: sampleNote(task.id, { text: 'kept' }) });
  await store.memory.project();
  await store.close();
  const older = join(temporary.path, 'older.db');
  fs.copyFileSync(join(directory, 'registry.db'), older);
  store = await openSqliteStore({ directory });
  await addRows(store.tasks, task.id, { noun: 'note', value: sampleNote(task.id, { text: 'ahead' }) });
  await store.close();
  fs.copyFileSync(older, join(directory, 'registry.db'));
  store = await openSqliteStore({ directory });
  expect(await store.tasks.listNotes(task.id)).toHaveLength(1);
  expect((await store.memory.heal(task.id)).healed).toEqual([]);
  expect((await store.tasks.listNotes(task.id)).map(({ text }) => text)).toEqual(['kept', 'ahead']);
  expect(await store.ledger.verify(task.id)).toMatchObject({ records: 3, broken: null });
});

test('the home’s own ledger is a file too, and continues its chain', async () => {
  await store.tasks.commit({ records: [{ stream: 'home', type: 'home.tried', actor: sampleActor, puts: [] }] });
  await store.memory.project();
  const lines = fs.readFileSync(join(directory, 'log.jsonl'), 'utf8').trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(await store.ledger.read('home'));
  const database = new Database(join(directory, 'registry.db'));
  database.exec(`update streams set projected_seq = 0 where stream = 'home'`);
  database.close();
  await store.tasks.commit({ records: [{ stream: 'home', type: 'home.tried', actor: sampleActor, puts: [] }] });
  await store.memory.project();
  expect(fs.readFileSync(join(directory, 'log.jsonl'), 'utf8').trimEnd().split('\n')).toHaveLength(3);
});
