import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@opencode-tools/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openPostgresEngine } from '../src/postgres/open-postgres-store.ts';
import { raw } from '../src/admin/raw.ts';
import { readPages } from '../src/admin/read-pages.ts';
import { digestRows } from '../src/admin/registry-facts.ts';
import { openSqliteFile } from '../src/admin/sqlite-file.ts';
import type { Engine } from '../src/query/engine.ts';
import { type Plan, collectRows, loadRows, scanRows } from '../src/query/plan.ts';
import type { Row } from '../src/query/rows.ts';
import { freshSchema } from './administration.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

const shape = { name: 'things', columns: ['id', 'text', 'number'], key: ['id'] };
const awkward: readonly Row[] = [
  ['a', 'tab\there', 1],
  ['b', 'line\nbreak\r\n', -2],
  ['c', '\\N is no null, \\. is no end, \\t is no tab', 0],
  ['d', '', null],
  ['e', null, 2 ** 53 - 1],
  ['f', 'Größe ☃ 🚀 "quoted" \'single\'', 12],
  ['\\.', '\\', 7],
  ['g\u0001\u007f', '{"json":"\\u0000 \\n"}', 3],
];

describe.each(['sqlite', 'postgres'] as const)('many rows on %s', (name) => {
  let temporary: ReturnType<typeof temporaryDirectory>;
  let engine: Engine;
  beforeEach(async () => {
    temporary = temporaryDirectory();
    engine =
      name === 'sqlite'
        ? openSqliteFile(join(temporary.path, 'things.db'))
        : openPostgresEngine({ url: await freshSchema(server.url) });
    await engine.write(function* () {
      yield raw('create table things (id text primary key, text text, number bigint)');
    });
  });
  afterEach(async () => {
    await engine.close();
    temporary.remove();
  });

  const load = (rows: Iterable<Row>) =>
    engine.write(() => loadRows({ table: shape.name, columns: shape.columns, rows }));
  const all = () => engine.read(() => collectRows(raw('select id, text, number from things')));
  const byId = (rows: readonly Row[]) => rows.toSorted(([left], [right]) => (String(left) < String(right) ? -1 : 1));

  test('come out as they went in, whatever is in them', async () => {
    expect(await load(awkward)).toBe(awkward.length);
    expect(byId(await all())).toEqual(byId(awkward));
  });

  test('are the same rows, with the same digest, as those that were inserted one by one', async () => {
    await load(awkward);
    const loaded = await engine.snapshot(() => digestRows(shape));
    await engine.write(function* () {
      yield raw('delete from things');
      for (const row of awkward.toReversed()) {
        const places = name === 'sqlite' ? '?, ?, ?' : '$1, $2, $3';
        yield raw(`insert into things (id, text, number) values (${places})`, row);
      }
    });
    expect(await engine.snapshot(() => digestRows(shape))).toBe(loaded);
  });

  test('have another digest when one cell of one differs', async () => {
    await load(awkward);
    const before = await engine.snapshot(() => digestRows(shape));
    await engine.write(function* () {
      yield raw(`update things set number = 13 where id = 'f'`);
    });
    expect(await engine.snapshot(() => digestRows(shape))).not.toBe(before);
  });

  test('go in whole or not at all when their source fails, with its own error', async () => {
    function* failing(): Generator<Row> {
      for (let index = 0; index < 20_000; index += 1) yield [`id ${index}`, 'x'.repeat(100), index];
      throw new RangeError('The source is broken');
    }
    await expect(load(failing())).rejects.toThrow('The source is broken');
    expect(await all()).toEqual([]);
    expect(await load(awkward)).toBe(awkward.length);
  });

  test('go in whole or not at all when one of them is refused, and the connection goes on', async () => {
    function* twice(): Generator<Row> {
      for (let index = 0; index < 50_000; index += 1) yield [`id ${index % 40_000}`, 'x'.repeat(100), index];
    }
    await expect(load(twice())).rejects.toThrow(/unique|duplicate/i);
    expect(await all()).toEqual([]);
    expect(await load([])).toBe(0);
    expect(await load(awkward)).toBe(awkward.length);
  });

  test('are read in pages without one missing or coming twice', async () => {
    const rows = Array.from({ length: 12_003 }, (_, index): Row => [
      `id ${String(index).padStart(6, '0')}`,
      null,
      index,
    ]);
    await load(rows);
    const sizes: number[] = [];
    const read: Row[] = [];
    for await (const page of readPages(engine, shape)) {
      sizes.push(page.length);
      read.push(...page);
    }
    expect(read).toEqual(rows);
    expect(sizes.length).toBeGreaterThan(1);
    const rest: Row[] = [];
    for await (const page of readPages(engine, shape, ['id 011999'])) rest.push(...page);
    expect(rest).toEqual(rows.slice(12_000));
  });

  test('that nobody can take are refused with the error of whoever refused, and the connection goes on', async () => {
    await load(awkward);
    const refusing = (): Plan<number> =>
      scanRows(raw('select id from things'), () => {
        throw new RangeError('Not this one');
      });
    await expect(engine.read(refusing)).rejects.toThrow('Not this one');
    expect(await all()).toHaveLength(awkward.length);
  });
});
