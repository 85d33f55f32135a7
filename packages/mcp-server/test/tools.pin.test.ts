import { expect, test } from 'vitest';
import { type ToolDescription, describeTools } from '../src/index.ts';
import { toolTable } from '../src/tool-table.ts';
import { connect } from './connect.ts';
import { scriptedHome } from './scripted-home.ts';

/** What all tools together may cost a model on every turn, and a client once; bytes of JSON. */
const budget = { model: 12_000, list: 31_500 };

async function listedTools(): Promise<readonly ToolDescription[]> {
  const client = await connect({ open: () => Promise.resolve(scriptedHome({})) });
  const { result } = await client.request('tools/list');
  return result?.['tools'] as readonly ToolDescription[];
}

test('the tools are the pinned ones', async () => {
  await expect(`${JSON.stringify(describeTools(), null, 2)}\n`).toMatchFileSnapshot('./pins/tools.txt');
});

test('clients see exactly what is described, in the same order every time', async () => {
  const [first, second] = [await listedTools(), await listedTools()];
  expect(first).toEqual(describeTools());
  expect(JSON.stringify(second)).toBe(JSON.stringify(first));
});

test('the tools cost a model no more than their budget', () => {
  const tools = describeTools();
  const seen = tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }));
  expect(Buffer.byteLength(JSON.stringify(seen))).toBeLessThan(budget.model);
  expect(Buffer.byteLength(JSON.stringify({ tools }))).toBeLessThan(budget.list);
});

test('every argument that is checked is listed, but for what programs need rather than models', () => {
  const listed = new Map(describeTools().map(({ name, inputSchema }) => [name, inputSchema['properties'] as object]));
  const unlisted = toolTable.flatMap(({ name, input }) =>
    Object.keys(input.shape as object).filter((argument) => !Object.hasOwn(listed.get(name) ?? {}, argument)),
  );
  expect(new Set(unlisted)).toEqual(
    new Set([
      'idempotency_key',
      'ttl_seconds',
      'grace_seconds',
      'parent',
      'owner',
      'created_after',
      'created_before',
      'depends_on',
    ]),
  );
  const shown = describeTools().map(({ inputSchema }) => Object.keys(inputSchema['properties'] as object).length);
  expect(shown.reduce((sum, each) => sum + each) + unlisted.length).toBe(
    toolTable.reduce((sum, { input }) => sum + Object.keys(input.shape as object).length, 0),
  );
});

test('names leave room for the prefixes that clients add', () => {
  for (const { name } of describeTools()) expect(name).toMatch(/^[a-z_]{1,30}$/);
});
